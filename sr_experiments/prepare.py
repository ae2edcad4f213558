"""``python -m sr_experiments.prepare``: download, verify and pack a data set."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr_experiments.configuration.entry import run_verb
from sr_experiments.configuration.options import CACHE_DIR, DATA_DIR
from sr_experiments.configuration.verbs import compose_data, parse
from sr_experiments.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from sr_experiments.data import LabelledData, SRData
    from sr_experiments.data.sources import Archive


@dataclass
class Options:
    """Download, verify and pack a data set, so that training starts at once.

      python -m sr_experiments.prepare data=div2k scale=3
      python -m sr_experiments.prepare data=glasses size=[32,64,128]

    What is here already is not downloaded again, and a broken download goes on where it
    stopped. A set that cannot be had without a form is named with what to do by hand.

    data           an option of the group data, such as div2k, t91, set5, folder
    scale          enlargement of height and width that the set is packed for
    size           height and width, or [several], that a classifier's pictures are packed at;
                   null: as training has it
    shard          pictures per packed file of a classifier's set (the glasses paper: 450); null:
                   all in one
    root           the folder of images, for data=folder; another place of a classifier's set
    data_dir       your data sets, searched first (SR_DATA_DIR)
    cache_dir      holds downloads and packed sets (SR_CACHE_DIR); null: the user's cache folder
    keep_archives  leave the downloaded archives in cache_dir/downloads
    """

    data: str = "photos"
    scale: int = 3
    size: Any = None
    shard: int | None = None
    root: str | None = None
    data_dir: str | None = DATA_DIR
    cache_dir: str | None = CACHE_DIR
    keep_archives: bool = False


def prepare(data: "SRData", console: "Console", *, keep_archives: bool = False) -> None:
    """Get what a training run with ``data`` needs.

    Optional test sets are left out, unless they are parts of a set that is needed anyway.

    Args:
        data: Names the sets.
        console: Shows progress and the result.
        keep_archives: Leave the downloaded archives where they are.

    Raises:
        UserError: A download fails or is not what it should be, a set has to be fetched by
            hand, or an image cannot be used.
    """
    for archive in _wanted_archives(data):
        _get(archive, data.cache_dir, console, keep_archives)
    data.check()
    with _bar(console, counts=True) as advance:
        data.setup(progress=lambda name, done, total: advance(f"packing {name}", done, total))
    for name, count in data.sizes().items():
        console.print(f"{name:<12}{count} images", highlight=False, soft_wrap=True)
    for name, reason in data.missing.items():
        console.print(
            f"{name:<12}optional, {reason.splitlines()[0]}", highlight=False, soft_wrap=True
        )


def prepare_labelled(data: "LabelledData", console: "Console") -> None:
    """Pack a classifier's pictures at one size.

    Args:
        data: Names the set.
        console: Shows progress and the result.

    Raises:
        UserError: The set is not here, which is answered with its layout and where it is had, or
            pictures are missing or broken; they are named.
    """
    data.check()
    with _bar(console, counts=True) as advance:
        data.setup(progress=lambda done, total: advance(f"packing {data.size}px", done, total))
    parts = ", ".join(f"{count} {name}" for name, count in data.sizes().items())
    shards = "" if data.shard is None else f" in shards of {data.shard}"
    size = f"{data.size}x{data.size}"
    console.print(
        f"{size:<12}{parts}; {data.packed_bytes / 1e6:.2f} MB{shards}",
        highlight=False,
        soft_wrap=True,
    )


def _wanted_archives(data: "SRData") -> list["Archive"]:
    """Archives of the sets that are not here, each once."""
    from sr_experiments.data.finding import missing_split, set_name

    specs = [*data.train, *data.val, *data.test]
    needed = {set_name(spec) for spec in specs if not spec.endswith("?")}
    archives: dict[tuple[str, tuple[str, ...]], Archive] = {}
    for spec in specs:
        if set_name(spec) in needed:
            split = missing_split(spec.rstrip("?"), data.data_dir, data.cache_dir)
            if split is not None and split.archive is not None:
                archive = split.archive
                archives[archive.url, archive.members] = archive
    return list(archives.values())


def _get(archive: "Archive", cache_dir: Path, console: "Console", keep: bool) -> None:
    from sr_experiments.data.download import fetch
    from sr_experiments.data.known_pictures import UnknownPicturesError, check_pictures
    from sr_experiments.data.unpacking import unpack

    console.print(f"{archive.url}", highlight=False, soft_wrap=True)
    if archive.note:
        console.print(f"  {archive.note}", highlight=False, soft_wrap=True)
    if archive.checksum is None:
        console.print(
            "  nobody publishes its checksum: its pictures are compared with those that are known",
            highlight=False,
            soft_wrap=True,
        )
    with _bar(console, counts=False) as advance:
        path = fetch(
            archive,
            cache_dir / "downloads",
            lambda done, total: advance("downloading", done, total),
        )
    try:
        with _bar(console, counts=True) as advance:
            unpack(
                path,
                cache_dir / "datasets" / archive.into,
                archive.members,
                lambda done, total: advance("unpacking", done, total),
                lambda folder: check_pictures(archive, folder),
            )
    except UnknownPicturesError:
        path.unlink()
        raise
    if not keep:
        path.unlink()


@contextmanager
def _bar(console: "Console", *, counts: bool) -> Iterator[Callable[[str, int, int | None], None]]:
    """A progress bar, in bytes or by count; a new line for each new description."""
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = [MofNCompleteColumn()] if counts else [DownloadColumn(), TransferSpeedColumn()]
    tasks = {}
    with Progress(
        TextColumn("{task.description:<16}"),
        BarColumn(),
        *columns,
        TimeRemainingColumn(),
        console=console,
    ) as progress:

        def advance(description: str, done: int, total: int | None) -> None:
            if description not in tasks:
                tasks[description] = progress.add_task(description, total=total)
            progress.update(tasks[description], completed=done, total=total)

        yield advance


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command line."""
    options = parse(Options, argv)
    if options.data == "folder" and options.root is None:
        raise UserError("data=folder needs the folder of images: add root=...")
    from rich.console import Console

    from sr_experiments.data import Cifar10Data, LabelledData, SRData

    overrides = [
        f"scale={options.scale}",
        f"paths.data_dir={_quoted(options.data_dir)}",
        f"paths.cache_dir={_quoted(options.cache_dir)}",
    ]
    if options.root is not None:
        overrides.append(f"data.root={_quoted(options.root)}")
    data: object = compose_data(options.data, overrides)
    if isinstance(data, LabelledData):
        console = Console()
        shard = [] if options.shard is None else [f"data.shard={options.shard}"]
        for size in _sizes(options.size, data.size):
            chosen: Any = compose_data(options.data, [*overrides, f"data.size={size}", *shard])
            prepare_labelled(chosen, console)
        return
    for key in ("size", "shard"):
        if getattr(options, key) is not None:
            raise UserError(f"{key}= is for a classifier's pictures, such as data=glasses")
    if isinstance(data, Cifar10Data):
        data.check()
        data.setup()
        print(f"packed: {len(data.pictures()):,} training pictures")
        return
    assert isinstance(data, SRData)
    prepare(data, Console(), keep_archives=options.keep_archives)


def _sizes(value: Any, default: int) -> list[Any]:
    if value is None:
        return [default]
    sizes = value if isinstance(value, list) else [value]
    if not sizes or not all(type(size) is int and size > 0 for size in sizes):
        raise UserError(f"size={value} is not a whole number from 1, or [several], such as [32,64]")
    return sizes


def _quoted(value: str | None) -> str:
    """A path as Hydra reads it, whatever characters it holds."""
    if value is None:
        return "null"
    escaped = value.replace("'", "\\'")
    return f"'{escaped}'"


if __name__ == "__main__":
    run_verb(main)
