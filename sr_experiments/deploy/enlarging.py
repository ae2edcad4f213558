"""From picture files to enlarged picture files, tile by tile; no torch of its own."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sr_experiments.deploy.pictures import WRITERS, Canvas, read_picture
from sr_experiments.deploy.runtimes import Runtime
from sr_experiments.deploy.tiling import upscale_tiled
from sr_experiments.errors import UserError
from sr_experiments.functional.image_files import SUFFIXES


@dataclass(frozen=True)
class Plan:
    """What is to be enlarged into what.

    Attributes:
        jobs: Source and destination.
        kept: Destinations that are there already and stay as they are.
    """

    jobs: list[tuple[Path, Path]]
    kept: list[Path]


def plan(source: Path, output: Path, suffix: str, *, overwrite: bool) -> Plan:
    """Pair every image with its destination, before anything is computed.

    Args:
        source: Image, or folder whose folders are searched too.
        output: Image for an image, or folder.
        suffix: Of images in a folder, such as ``png``.
        overwrite: Make images again that are there already.

    Raises:
        UserError: There is nothing to enlarge, or nowhere to put it.
    """
    ending = f".{suffix.lower().removeprefix('.')}"
    if ending not in WRITERS:
        raise UserError(f"format={suffix} cannot be written; use {_formats()}")
    if source.is_dir():
        pairs = _folder(source, output, ending)
    elif source.is_file():
        named = output.suffix.lower() in WRITERS and not output.is_dir()
        if output.suffix and not named and not output.is_dir():
            raise UserError(f"output={output}: {output.suffix} cannot be written; use {_formats()}")
        pairs = [(source, output if named else output / f"{source.stem}{ending}")]
    else:
        raise UserError(f"input={source}: there is no such file or folder")
    for given, made in pairs:
        if given.resolve() == made.resolve():
            raise UserError(f"output={made} is the input itself; name another")
    kept = [made for _, made in pairs if made.exists() and not overwrite]
    return Plan([pair for pair in pairs if pair[1] not in kept], kept)


def _formats() -> str:
    return ", ".join(suffix[1:] for suffix in WRITERS)


def _folder(source: Path, output: Path, ending: str) -> list[tuple[Path, Path]]:
    if output.is_file() or output.suffix.lower() in WRITERS:
        raise UserError(f"output={output} must be a folder, since input={source} is one")
    # An output folder inside the input is no input the next time.
    images = [
        path
        for path in sorted(source.rglob("*"))
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not path.name.startswith(".")
        and output.resolve() not in path.resolve().parents
    ]
    if not images:
        raise UserError(f"input={source} holds no images ({' '.join(sorted(SUFFIXES))})")
    names = [path.relative_to(source).with_suffix(ending) for path in images]
    counts = Counter(names)
    return [
        # a.jpg beside a.png: each keeps its own suffix in the new name.
        (path, output / (name if counts[name] == 1 else name.with_name(path.name + ending)))
        for path, name in zip(images, names, strict=True)
    ]


def enlarge(
    runtime: Runtime,
    source: Path,
    output: Path,
    tile: int | None = None,
    advance: Callable[[float], None] = lambda share: None,
) -> bool:
    """Enlarge one file.

    Args:
        runtime: Any network.
        source: Image to read.
        output: Image to write.
        tile: Height and width of a tile before enlarging; None: the runtime's choice.
        advance: Called after each tile with its share of the picture.

    Returns:
        Whether the picture is that of the network as a whole: False where it took several tiles
        and how far the network looks is unknown, or everywhere.

    Raises:
        UserError: Naming the file that cannot be read or written.
    """
    picture = read_picture(source)
    try:
        canvas = Canvas(picture, runtime.scale, output)
        total = canvas.size[0] * canvas.size[1]
        pieces = 0
        for y, x, pixels in upscale_tiled(runtime, picture.rgb, tile):
            canvas.paste(y, x, pixels)
            pieces += 1
            advance(pixels.shape[0] * pixels.shape[1] / total)
        canvas.save()
    except MemoryError as error:
        raise UserError(
            f"{source}: enlarged, it does not fit into this machine's memory; cut it into parts"
        ) from error
    return pieces == 1 or runtime.radius is not None
