"""``python -m sr_experiments.upscale``: enlarge an image, a folder of images, or a video."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import MISSING

from sr_experiments.configuration.entry import run_verb
from sr_experiments.configuration.options import RuntimeOptions
from sr_experiments.configuration.shipped import DEFAULT, entries
from sr_experiments.configuration.trained import WAYS, Trained, find, open_checked
from sr_experiments.configuration.verbs import parse
from sr_experiments.errors import UserError

if TYPE_CHECKING:
    from rich.progress import Progress

    from sr_experiments.deploy.runtimes import Runtime
    from sr_experiments.deploy.video import Enlarged


@dataclass
class Options(RuntimeOptions):
    r"""Enlarge an image, every image of a folder, or a video, with a trained network.

      python -m sr_experiments.upscale input=photo.jpg
      python -m sr_experiments.upscale input=clip.mp4 model=espcn scale=2 runtime=fp32
      python -m sr_experiments.upscale run=outputs/xlsr-x3/2026-11-21_10-00-00 \
          input=photo.jpg output=photo_x3.png
      python -m sr_experiments.upscale file=model_int8.tflite input=photos output=enlarged

    Transparency, orientation and colour profile are kept. Images are enlarged tile by tile,
    with the same result as in one piece; a note says so where that is not certain: of networks
    that look at the whole picture, as IMDN's attention does. A broken image does not stop a
    folder: it is listed at the end, and the command exits with 1.

    A video keeps its sound, its times and its colours, and is enlarged frame by frame; a camera
    (input=/dev/video0) or the standard input (input=-) until it ends or Ctrl+C.

    input      image, folder (its folders too), video, camera, or - for a video from a pipe
    output     image (.png .jpg .webp) for an image; folder for a folder; .mp4 .mov .mkv for a
               video; null: beside the input, with the scale in its name
    format     of the images in a folder: png, jpg or webp
    overwrite  replace images that are there already; otherwise they are left alone
    tile       height and width of a tile before enlarging; null: 256, or a file's own
    crf        of a video, how much its H.264 loses: 0 nothing, 18 hardly visible, 51 most
    run        run folder; without run, file, pretrained or model: pretrained=xlsr
    file       or a .tflite (also of others), .onnx or .safetensors file
    pretrained or a network that the package brings trained: xlsr, espcn, ...
    model      the same, or a network that needs no training: bicubic
    scale      enlargement of pretrained or model; null: 3
    runtime    int8, fp16, fp32 (LiteRT), torch, torch_fp16 or onnx; null: the first of these
               that the run has
    threads    CPU threads; null: all
    device     of torch: cpu, cuda
    """

    input: str = MISSING
    output: str | None = None
    format: str = "png"
    overwrite: bool = False
    tile: int | None = None
    crf: int = 18


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command line; exits with 1 when an image of a folder is broken."""
    words = list(sys.argv[1:] if argv is None else argv)
    # YAML would take the dash for a list.
    quoted = ["input='-'" if word == "input=-" else word for word in words]
    options = _with_network(parse(Options, quoted))
    from sr_experiments.deploy.video import is_video

    if not is_video(options.input) and options.crf != Options.crf:
        raise UserError("crf= is of videos")
    trained = find(options, options.runtime, options.threads, options.device)
    if trained.sets:
        print(f"by {trained.label} of this package, for photos (learned from {_and(trained.sets)})")
    if is_video(options.input):
        _video(options, trained)
        return
    source = Path(options.input).expanduser()
    from rich.progress import Progress

    from sr_experiments.deploy.enlarging import plan

    output = _output(options, trained, source, f".{options.format}")
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


def _with_network(options: Options) -> Options:
    """The options with a network of the package where they name none, or one of its names."""
    if all(getattr(options, way) is None for way in WAYS):
        return replace(options, pretrained=DEFAULT)
    brought = {entry.model for entry in entries()}
    others = [way for way in WAYS if way != "model" and getattr(options, way) is not None]
    if options.model in brought and not others:
        return replace(options, model=None, pretrained=options.model)
    return options


def _and(words: Sequence[str]) -> str:
    return " and ".join(", ".join(words).rsplit(", ", 1))


def _output(options: Options, trained: Trained, source: Path, suffix: str) -> Path:
    """Where to, with a name of its own beside the input where none was given."""
    if options.output is not None:
        return Path(options.output).expanduser()
    if options.input == "-" or options.input.startswith("/dev/"):
        raise UserError(f"output has no value: add output=..., since input={options.input} is live")
    scale = options.scale or trained.open(options.runtime).scale
    if source.is_dir():
        return source.resolve().with_name(f"{source.resolve().name}_x{scale}")
    return source.with_name(f"{source.stem}_x{scale}{suffix}")


def _video(options: Options, trained: Trained) -> None:
    from rich.progress import Progress

    from sr_experiments.deploy.video import check_video, enlarge_video

    name = str(Path(options.input).expanduser()) if options.input != "-" else "-"
    output = _output(options, trained, Path(name), ".mp4")
    if not 0 <= options.crf <= 51:
        raise UserError(f"crf={options.crf} is not between 0 and 51")
    check_video(name, output, overwrite=options.overwrite)
    runtime = open_checked(options, trained, options.runtime)
    with Progress(transient=True, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(Path(name).name, total=None)

        def advance(done: "Enlarged", frames: int) -> None:
            progress.update(
                task,
                completed=done.frames,
                total=frames or None,
                description=f"{Path(name).name} {done.rate:.1f} frames a second",
            )

        done = enlarge_video(
            runtime, name, output, tile=options.tile, crf=options.crf, advance=advance
        )
    width, height = done.size
    print(
        f"{output}: {done.frames} frames x{runtime.scale} to {width}x{height} by {runtime.name}, "
        f"{done.rate:.1f} frames a second"
    )


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
