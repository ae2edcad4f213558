"""The text of ``python -m sr_experiments --help``, made from the files of ``conf/``."""

import shutil
import textwrap

from sr_experiments.configuration.locations import config_dir, groups

USAGE = """\
Train, quantise, measure and compare small super-resolution networks.

  python -m sr_experiments [group=option ...] [key=value ...]

Examples
  python -m sr_experiments model=xlsr loss=charbonnier
  python -m sr_experiments model=abpn quantization=ptq_per_tensor scale=2
  python -m sr_experiments experiment=xlsr/paper data=folder data.root=my_photos budget=0.01
  python -m sr_experiments -m model=xlsr,espcn model.clip_output=true,false
  python -m sr_experiments sweep=clipped_output logger=wandb

Other verbs (each has --help)
  python -m sr_experiments.prepare    download, verify and pack a data set
  python -m sr_experiments.evaluate   score a run or any .tflite/.onnx file
  python -m sr_experiments.upscale    enlarge an image, a folder or a video
  python -m sr_experiments.classify   what a classifier says of a folder of pictures
  python -m sr_experiments.export     write TFLite and ONNX with a parity table
  python -m sr_experiments.layers     what INT8 does to each layer, and which to fix first
  python -m sr_experiments.benchmark  latency of a run or file on this machine
  python -m sr_experiments.ship       put a finished run among the networks that come trained
  python -m sr_experiments.dashboard  W&B workspace and report as code
  python -m sr_experiments.doctor     versions, hardware, data and weights at hand

Print the configuration that a command gives:  add  --cfg job --resolve
"""


def _root_values() -> list[str]:
    text = (config_dir() / "config.yaml").read_text(encoding="utf-8")
    body = text.split("# root values\n", 1)[1]
    return [line for line in body.splitlines() if line and not line.startswith(" ")]


def help_text(width: int | None = None) -> str:
    """Usage, groups with their options, and the root keys with their defaults.

    Args:
        width: Characters per line; by default the terminal's.
    """
    width = min(width or shutil.get_terminal_size().columns, 110)
    lines = [USAGE, "Groups"]
    for name, names in groups().items():
        wrapped = textwrap.wrap(
            "  ".join(names), width - 20, break_long_words=False, break_on_hyphens=False
        )
        lines += [f"  {name if not i else '':<18}{line}" for i, line in enumerate(wrapped or ["-"])]
    lines += ["", "Root keys", *(f"  {line}" for line in _root_values())]
    return "\n".join(lines)
