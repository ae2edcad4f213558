"""``python -m sr_experiments.ship``: put a finished run among the networks that come trained."""

import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sr_experiments.configuration.entry import run_verb
from sr_experiments.configuration.options import CACHE_DIR, DATA_DIR
from sr_experiments.configuration.shipped import FOLDER, Entry, entries, shipped
from sr_experiments.configuration.verbs import parse
from sr_experiments.errors import UserError
from sr_experiments.files import write_atomic, write_json

AGREEMENT = 0.05  # dB; seeds differ by more, two machines by less


@dataclass
class Options:
    """Make the files and the card of ``pretrained=<name>`` from a finished run.

      python -m sr_experiments.ship run=outputs/shipped/model=espcn,scale=3
      python -m sr_experiments.ship run=... record=outputs/records/2026-11-21-shipped
      python -m sr_experiments.ship again=espcn scale=3
      python -m sr_experiments.ship compare=outputs/again/shipped/model=espcn,scale=3

    The run's files are scored on Set5 and Set14 and must give what its summary says. The page of
    all cards is written again, and the table in the README of a clone. again= types the command
    of a card once more and compares the result with what is shipped; compare= does so with a run
    that is there already. They exit with 1 where the two disagree by more than 0.05 dB.

    run         finished run folder
    record      where its evidence is kept
    overwrite   replace an entry that is better on Set5 in INT8
    again       name of an entry to train again
    compare     finished run folder to compare with the entry of its network and scale
    scale       of again; null: 3
    output      folder for again
    data_dir    folder of the data sets (SR_DATA_DIR)
    cache_dir   packed and downloaded sets (SR_CACHE_DIR); null: the user's cache folder
    """

    run: str | None = None
    record: str | None = None
    overwrite: bool = False
    again: str | None = None
    compare: str | None = None
    scale: int | None = None
    output: str = "outputs/again"
    data_dir: str | None = DATA_DIR
    cache_dir: str | None = CACHE_DIR


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command line; exits with 1 where a second training disagrees."""
    options = parse(Options, argv)
    given = [key for key in ("run", "again", "compare") if getattr(options, key) is not None]
    if len(given) != 1:
        raise UserError("name one of run=, again= or compare=")
    if options.scale is not None and options.again is None:
        raise UserError("scale= is of again=; a run says its own")
    if options.run is not None:
        ship(options, Path(options.run).expanduser(), FOLDER)
        return
    if options.again is not None:
        entry = shipped(options.again, options.scale, "again")
        run = _train_again(entry, options)
    else:
        run = Path(str(options.compare)).expanduser()
    if not agrees(options, run):
        raise SystemExit(1)


def ship(options: Options, run: Path, folder: Path) -> Entry:
    """Write an entry and the page of all cards.

    Args:
        options: ``record``, ``overwrite`` and the places of data.
        run: Finished run folder.
        folder: Where entries are.

    Raises:
        UserError: The run cannot be shipped, or what is there is better.
    """
    if options.record is not None and not Path(options.record).is_dir():
        raise UserError(f"record={options.record}: there is no such folder")
    with tempfile.TemporaryDirectory() as temporary:
        made = _made(options, run, Path(temporary))
        entry = Entry(made.model, made.scale, folder)
        before = entry.card if entry.card_file.is_file() else None
        if before is not None and _set5(before) > _set5(made.card) and not options.overwrite:
            raise UserError(
                f"{entry.name} is there with {_set5(before):.3f} dB on Set5 in INT8, and this run "
                f"has {_set5(made.card):.3f}; add overwrite=true to replace it"
            )
        folder.mkdir(exist_ok=True)
        for source, target in ((made.weights, entry.weights), (made.int8, entry.int8)):
            write_atomic(target, source.read_bytes())
        write_json(entry.card_file, made.card)
    write_pages(folder)
    was = "" if before is None else f" (was {_set5(before):.3f})"
    print(f"{entry.name}: Set5 INT8 {_set5(made.card):.3f} dB{was}; written to {folder}")
    return entry


def write_pages(folder: Path) -> None:
    """Write the page of all cards, and the table of a clone's README."""
    from sr_experiments.reporting.card_pages import overview, page, replaced

    cards = [entry.card for entry in entries(folder)]
    write_atomic(folder / "README.md", page(cards))
    readme = folder.parent.parent / "README.md"
    if readme.is_file():
        text = readme.read_text(encoding="utf-8")
        changed = replaced(text, overview(cards))
        if changed != text:
            write_atomic(readme, changed)


def agrees(options: Options, run: Path) -> bool:
    """Compare a run with the entry of its network and scale, and print the verdict."""
    with tempfile.TemporaryDirectory() as temporary:
        made = _made(options, run, Path(temporary))
        entry = shipped(made.model, made.scale, "compare")
        same = {
            key: made.card["files"][key] == entry.card["files"][key] for key in ("fp32", "int8")
        }
        distance = 0.0
        for name, rows in entry.card["scores"].items():
            for key in ("fp32", "int8"):
                there, here = rows[key]["psnr_y"], made.card["scores"][name][key]["psnr_y"]
                distance = max(distance, abs(here - there))
                print(f"{name} {key.upper()}: {there:.3f} dB shipped, {here:.3f} dB again")
    if all(same.values()):
        print(f"agrees: {entry.name} again, bit for bit")
    elif distance <= AGREEMENT:
        print(f"agrees: {entry.name} again, within {distance:.3f} dB")
    else:
        print(f"disagrees: {entry.name} is {distance:.3f} dB off")
    return distance <= AGREEMENT


def _train_again(entry: Entry, options: Options) -> Path:
    output = Path(options.output).expanduser()
    words = [*shlex.split(entry.card["command"])[3:], f"paths.output_dir={output}"]
    for key in ("data_dir", "cache_dir"):
        if getattr(options, key) is not None:
            words.append(f"paths.{key}={getattr(options, key)}")
    known = _summaries(output)
    finished = subprocess.run([sys.executable, "-m", "sr_experiments", *words], check=False)
    if finished.returncode:
        raise UserError(f"the command of {entry.name} failed: {' '.join(words)}")
    fresh = [file for file in _summaries(output) if file not in known] or _summaries(output)
    if not fresh:
        raise UserError(f"the command of {entry.name} left no run in {output}")
    return max(fresh, key=lambda file: file.stat().st_mtime).parent


def _summaries(output: Path) -> list[Path]:
    return sorted(output.glob("**/summary.json"))


def _made(options: Options, run: Path, folder: Path) -> Entry:
    """The entry that a run makes, in a folder of its own."""
    from sr_experiments.reporting.cards import make_card
    from sr_experiments.reporting.run_folder import RunFolder

    summary = RunFolder(run).summary()
    entry = Entry(str(summary.get("model")), int(summary.get("scale") or 0), folder)
    places = {"data_dir": options.data_dir, "cache_dir": options.cache_dir}
    card = make_card(
        RunFolder(run),
        entry.weights,
        entry.int8,
        defaults=_defaults,
        places=places,
        starts={known.card["files"]["fp32"]["sha256"]: known.card["data"] for known in entries()},
        record=options.record,
    )
    write_json(entry.card_file, card)
    return entry


def _defaults(model: str, scale: int) -> Mapping[str, Any]:
    from omegaconf import OmegaConf

    from sr_experiments.configuration.compose import check

    node = OmegaConf.to_container(check([f"model={model}", f"scale={scale}"]).model, resolve=True)
    assert isinstance(node, dict)
    return {str(key): value for key, value in node.items()}


def _set5(card: Mapping[str, Any]) -> float:
    return float(card["scores"]["set5"]["int8"]["psnr_y"])


if __name__ == "__main__":
    run_verb(main)
