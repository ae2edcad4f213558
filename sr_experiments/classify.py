"""``python -m sr_experiments.classify``: what a trained classifier says of a folder of pictures."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import MISSING

from sr_experiments.configuration.entry import run_verb
from sr_experiments.configuration.verbs import parse
from sr_experiments.errors import UserError

if TYPE_CHECKING:
    from sr_experiments.models import Classifier

UNSURE = ("keep", "list", "move")


@dataclass
class Options:
    r"""Glasses, no glasses or unsure: a CSV with a line for every picture of a folder.

      python -m sr_experiments.classify run=outputs/glasses_cnn/2026-11-21_10-00-00 \
          input=faces output=faces.csv
      python -m sr_experiments.classify file=model.safetensors input=faces output=faces.csv \
          unsure=move unsure_folder=to_look_at

    The columns are file (below input), probability (of the second of two classes; of more, that
    of the most probable one) and said (a class, unsure, or unreadable with the reason in error).
    Pictures are read a batch at a time, however many there are, and one that cannot be read does
    not stop the others: it has its line, and the command exits with 1. In file names the CSV
    writes line breaks and bytes that are no UTF-8 as \n and \xff, and \ as \\;
    cells that a spreadsheet would compute, such as =1+1, get an apostrophe in front.

    run            run folder of a classifier
    file           or its model.safetensors
    input          folder of pictures (its folders too), or one picture
    output         the .csv
    overwrite      replace the CSV when it is there
    unsure         keep: only the CSV tells; list: a list of them beside it, <output>.unsure.txt;
                   move: they are moved into unsure_folder, with their folders below input
    unsure_folder  for unsure=move
    low            from this probability on a picture is no longer a sure no
    high           and above this one a sure yes (over two classes: a sure class)
    batch_size     pictures at once
    threads        CPU threads; null: all
    device         cpu, cuda
    """

    run: str | None = None
    file: str | None = None
    input: str = MISSING
    output: str = MISSING
    overwrite: bool = False
    unsure: str = "keep"
    unsure_folder: str | None = None
    low: float = 0.4
    high: float = 0.6
    batch_size: int = 64
    threads: int | None = None
    device: str = "cpu"


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command line; exits with 1 when a picture could not be read."""
    options = parse(Options, argv)
    source, output, folder = _checked(options)
    weights = _weights(options)
    network = _network(weights, options)
    from rich.progress import Progress

    from sr_experiments.deploy.classifying import classify, find_pictures

    with Progress(transient=True, disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("pictures", total=None)
        counts = classify(
            network,
            find_pictures(source, leave_out=folder),
            source,
            output,
            unsure=(options.low, options.high),
            batch_size=options.batch_size,
            list_file=output.with_name(f"{output.name}.unsure.txt")
            if options.unsure == "list"
            else None,
            move_to=folder,
            advance=lambda done: progress.advance(bar, done),
        )
    told = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)
    print(f"{output}: {sum(counts.values()):,} pictures, {told}")
    if counts.get("unreadable"):
        raise SystemExit(1)


def _checked(options: Options) -> tuple[Path, Path, Path | None]:
    """Input, output and the folder for the unsure ones, before anything is loaded.

    Raises:
        UserError: An option is wrong.
    """
    from sr_experiments.configuration.options import result_file

    source = Path(options.input).expanduser()
    if not source.exists():
        raise UserError(f"input={source}: there is no such folder or file")
    output = result_file(options.output, (".csv",), overwrite=options.overwrite)
    assert output is not None
    if options.unsure not in UNSURE:
        raise UserError(f"unsure={options.unsure} does not exist: use {', '.join(UNSURE)}")
    if (options.unsure == "move") != (options.unsure_folder is not None):
        raise UserError("unsure=move and unsure_folder=... go together")
    if not 0 <= options.low <= options.high <= 1:
        raise UserError(f"low={options.low} and high={options.high} are not ordered within 0 and 1")
    for key in ("batch_size", "threads"):
        value = getattr(options, key)
        if value is not None and value < 1:
            raise UserError(f"{key}={value} is below 1")
    if options.unsure_folder is None:
        return source, output, None
    folder = Path(options.unsure_folder).expanduser()
    if folder.is_file():
        raise UserError(f"unsure_folder={folder} is a file; name a folder")
    if folder.resolve() == source.resolve():
        raise UserError(f"unsure_folder={folder} is the input itself; name another folder")
    return source, output, folder


def _weights(options: Options) -> Path:
    if (options.run is None) == (options.file is None):
        raise UserError("name one classifier with run= or file=")
    if options.file is not None:
        return Path(options.file).expanduser()
    folder = Path(str(options.run)).expanduser()
    if not folder.is_dir():
        raise UserError(f"run={folder}: there is no such folder")
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise UserError(f"run={folder} has no model.safetensors: is it a finished run folder?")
    return weights


def _network(weights: Path, options: Options) -> "Classifier":
    import torch

    from sr_experiments.models import load_classifier
    from sr_experiments.reporting.environment import usable_cores

    if options.device.partition(":")[0] == "cuda" and not torch.cuda.is_available():
        raise UserError(f"device={options.device}: no CUDA device here; use device=cpu")
    if options.device.partition(":")[0] not in ("cpu", "cuda"):
        raise UserError(f"device={options.device} is not cpu, cuda or cuda:<index>")
    torch.set_num_threads(options.threads or usable_cores())
    return load_classifier(weights).to(options.device)


if __name__ == "__main__":
    run_verb(main)
