"""``python -m sr_experiments.upscale``: enlarge an image or a folder of images."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import MISSING

from sr_experiments.configuration.options import RuntimeOptions
from sr_experiments.configuration.trained import find, open_checked
from sr_experiments.configuration.verbs import parse, run_verb
from sr_experiments.errors import UserError

if TYPE_CHECKING:
    from rich.progress import Progress

    from sr_experiments.deploy.runtimes import Runtime


@dataclass
class Options(RuntimeOptions):
    r"""Enlarge an image, or every image of a folder, with a trained network.

      python -m sr_experiments.upscale run=outputs/xlsr-x3/2026-11-21_10-00-00 \
          input=photo.jpg output=photo_x3.png
      python -m sr_experiments.upscale file=model_int8.tflite input=photos output=enlarged

    Transparency, orientation and colour profile are kept. Images are enlarged tile by tile,
    with the same result as in one piece; a note says so where that is not certain: of networks
    that look at the whole picture, as IMDN's attention does. A broken image does not stop a
    folder: it is listed at the end, and the command exits with 1.

    input      image, or folder (its folders too)
    output     image (.png .jpg .webp) for an image; folder for a folder
    format     of the images in a folder: png, jpg or webp
    overwrite  replace images that are there already; otherwise they are left alone
    tile       height and width of a tile before enlarging; null: 256, or a file's own
    run        run folder
    file       or a .tflite (also of others), .onnx or .safetensors file
    model      or a network that needs no training: bicubic
    scale      enlargement of model; null: 3
    runtime    int8, fp16, fp32 (LiteRT), torch, torch_fp16 or onnx; null: the first of these
               that the run has
    threads    CPU threads; null: all
    device     of torch: cpu, cuda
    """

    input: str = MISSING
    output: str = MISSING
    format: str = "png"
    overwrite: bool = False
    tile: int | None = None


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command line; exits with 1 when an image of a folder is broken."""
    options = parse(Options, argv)
    trained = find(options, options.runtime, options.threads, options.device)
    source, output = Path(options.input).expanduser(), Path(options.output).expanduser()
    from rich.progress import Progress

    from sr_experiments.deploy.enlarging import plan

    planned = plan(source, output, options.format, overwrite=options.overwrite)
    if source.is_file() and planned.kept:
        raise UserError(f"{planned.kept[0]} is there already; add overwrite=true to replace it")
    runtime = open_checked(options, trained, options.runtime)
    with Progress(transient=True, disable=not sys.stderr.isatty()) as progress:
        broken, pieced = _enlarge_all(runtime, planned.jobs, options.tile, progress)
    done = len(planned.jobs) - len(broken)
    if done and source.is_file():
        print(f"{planned.jobs[0][1]}: x{runtime.scale} by {runtime.name}")
    elif source.is_dir():
        kept = f", {len(planned.kept)} were there already (overwrite=true)" if planned.kept else ""
        images = "1 image" if done == 1 else f"{done} images"
        print(f"{output}: {images} x{runtime.scale} by {runtime.name}{kept}")
    if pieced:
        print(
            f"note: tiles of {pieced[0].name} may differ a little from the picture in one piece: "
            f"{runtime.name} looks at all of it, or does not say how far it looks; a larger tile "
            "is closer, tile=<longer side> is exact",
            file=sys.stderr,
        )
    if broken:
        if source.is_file():
            raise UserError(broken[0])
        print(f"{len(broken)} could not be enlarged:", file=sys.stderr)
        print("\n".join(f"  {line}" for line in broken), file=sys.stderr)
        raise SystemExit(1)


def _enlarge_all(
    runtime: "Runtime", jobs: Sequence[tuple[Path, Path]], tile: int | None, progress: "Progress"
) -> tuple[list[str], list[Path]]:
    """Why images could not be enlarged, one line each, and images whose tiles may show."""
    from sr_experiments.deploy.enlarging import enlarge

    broken, pieced = [], []
    everything = progress.add_task("images", total=len(jobs), visible=len(jobs) > 1)
    for source, output in jobs:
        task = progress.add_task(source.name, total=1.0)
        try:
            if not enlarge(runtime, source, output, tile, partial(progress.advance, task)):
                pieced.append(source)
        except UserError as error:
            broken.append(str(error))
        progress.remove_task(task)
        progress.advance(everything)
    return broken, pieced


if __name__ == "__main__":
    run_verb(main)
