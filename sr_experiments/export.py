"""``python -m sr_experiments.export``: TFLite and ONNX files with a parity table."""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import MISSING

from sr_experiments.configuration.entry import run_verb
from sr_experiments.configuration.measuring import (
    MeasuringOptions,
    calibration,
    keeps_ranges,
    mode_of,
    refuse_measuring,
)
from sr_experiments.configuration.options import SourceOptions, set_list
from sr_experiments.configuration.trained import find
from sr_experiments.configuration.verbs import parse
from sr_experiments.errors import UserError
from sr_experiments.files import write_atomic

if TYPE_CHECKING:
    from sr_experiments.reporting.exporting import Check, Target


@dataclass
class Options(MeasuringOptions, SourceOptions):
    r"""Write a trained network as TFLite (FP32 and INT8) and ONNX, and check that they agree.

      python -m sr_experiments.export run=outputs/xlsr-x3/2026-11-21_10-00-00 output=files
      python -m sr_experiments.export file=model.safetensors output=npu per_channel=false \
          height=360 width=640 resizable=false
      python -m sr_experiments.export run=... output=phone target=ai_benchmark

    Writes model_fp32.tflite, model_int8.tflite and, where the extra onnx is installed,
    model.onnx and model_int8.onnx, with the same scales. Each is run on a photo and compared with
    torch: the FP32 files with the network, the INT8 ones with its fake-quantised twin.

    run                 run folder
    file                or a model.safetensors
    pretrained          or a network that the package brings trained: xlsr, espcn, ...
    model               or a network that needs no training: bicubic
    scale               enlargement of pretrained or model; null: 3
    output              folder for the files
    overwrite           replace files that are there already
    target              all: every file; ai_benchmark: only model.tflite, INT8 of fixed size with
                        uint8 at either end, as the Android app AI Benchmark loads it;
                        executorch: model.pte and model_int8.pte of fixed size, for XNNPACK
    height, width       of the TFLite files' input
    resizable           users of the TFLite files may change height and width
    activations         int8, or int16 up to depth-to-space (16x8)
    per_channel         a weight scale per output channel; false: one per kernel, for older NPUs
    input_type          of the INT8 file: uint8, int8, float32
    output_type         the same for its output
    trained_ranges      keep the ranges of quantisation-aware training; false: measure new ones
    observer            rule for the ranges: minmax, moving_average, percentile, mse, entropy
    symmetric           zero points of activations are 0
    fixed_output        the output's levels are pixel values, whatever was measured
    equalize            cross-layer equalisation
    adaptive_rounding   steps of AdaRound for each layer; 0: round to the nearest level
    bias_correction     take the shift of each channel's mean off the biases
    calibration_images  low-res crops that the ranges are measured on
    calibration_size    their height and width
    data                sets they come from; null: the run's own if at hand, else photos:train
    root                folder of images that data=folder means
    data_dir            folder of the data sets (SR_DATA_DIR)
    cache_dir           packed and downloaded sets (SR_CACHE_DIR); null: the user's cache folder
    """

    output: str = MISSING
    overwrite: bool = False
    target: str = "all"
    height: int = 360
    width: int = 640
    resizable: bool = True
    input_type: str = "uint8"
    output_type: str = "uint8"
    data: Any = None


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command line."""
    options = parse(Options, argv)
    trained = find(options)
    folder = Path(options.output).expanduser()
    if folder.is_file():
        raise UserError(f"output={folder} is a file; name a folder")
    for key in ("height", "width"):
        if getattr(options, key) < 1:
            raise UserError(f"{key}={getattr(options, key)} is below 1")
    from sr_experiments.reporting import exporting

    target = _target(options)
    resizable = options.resizable and target == "all"
    for name in exporting.export_names(target):
        if (folder / name).exists() and not options.overwrite:
            raise UserError(f"{folder / name} is there already; add overwrite=true to replace it")
    mode = mode_of(options, input_type=options.input_type, output_type=options.output_type)
    network = trained.network()
    if options.scale is not None and options.scale != network.scale:
        raise UserError(f"scale={options.scale}: {trained.label} enlarges x{network.scale}")
    if not network.deployable:
        raise UserError(f"{trained.label} cannot be exported: {network.reason}")
    specs, crops = ["the training"], None
    if keeps_ranges(options, network):
        refuse_measuring(options, "data")
    else:
        specs, crops = calibration(options, trained, network.scale, set_list(options.data))
    exported = exporting.export(
        network,
        mode,
        crops,
        height=options.height,
        width=options.width,
        resizable=resizable,
        target=target,
    )
    size = None if resizable else (options.height, options.width)
    photo = exporting.photo(network.scale, size, options.cache_dir)
    checks = list(exporting.check(exported, *photo))
    for name, content in exported.files.items():
        write_atomic(folder / name, content)
    _print(folder, exported.files, checks)
    print(f"ranges from {', '.join(dict.fromkeys(specs))}; parity on the photo photos:test")
    if target == "ai_benchmark":
        print(
            f"copy {folder / exporting.AI_BENCHMARK} to the folder Download of the phone; in AI "
            "Benchmark: PRO Mode, Custom Model, INT8"
        )
    elif target == "all" and exporting.ONNX not in exported.files:
        print('no model.onnx: pip install "sr_experiments[onnx]"')


def _target(options: Options) -> "Target":
    """What the files are for, and that nothing else speaks against it."""
    from sr_experiments.reporting.exporting import TARGETS

    target = next((known for known in TARGETS if known == options.target), None)
    if target is None:
        raise UserError(f"target={options.target} does not exist: use {', '.join(TARGETS)}")
    for key in ("input_type", "output_type"):
        if target != "all" and getattr(options, key) != getattr(Options, key):
            raise UserError(
                f"{key}={getattr(options, key)} is not for target={target}, whose ends are fixed"
            )
    if target == "executorch" and importlib.util.find_spec("executorch") is None:
        raise UserError('target=executorch needs: pip install "sr_experiments[executorch]"')
    return target


def _print(folder: Path, files: Mapping[str, bytes], checks: Sequence["Check"]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(f"8-bit pictures of one photo: {folder}"))
    table.add_column("file", no_wrap=True)
    table.add_column("KiB", justify="right")
    table.add_column("torch", no_wrap=True)
    for column in ("equal", "+-1", "max", "dB", "less"):
        table.add_column(column, justify="right", no_wrap=True)
    for check in checks:
        table.add_row(
            check.file,
            f"{len(files[check.file]) / 1024:.1f}",
            check.against,
            f"{check.parity.equal:.2%}",
            f"{check.parity.within_one:.2%}",
            f"{check.parity.largest}",
            f"{check.psnr:.2f}",
            f"{check.psnr_difference:+.3f}",
        )
    Console().print(table)
    print(
        "compared with torch's own picture, INT8 with that of the fake-quantised network: equal "
        "pixels, those within one level, largest difference; PSNR over RGB, and less torch's"
    )


if __name__ == "__main__":
    run_verb(main)
