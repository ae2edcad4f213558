"""From a specification such as ``div2k:1-792`` to image files."""

import difflib
import importlib.util
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sr_experiments.data.images import SUFFIXES
from sr_experiments.data.sources import PHOTOS, SOURCES, Source, Split
from sr_experiments.errors import UserError

__all__ = ["ImageFile", "find_images", "missing_split", "set_name"]

SPEC = re.compile(r"(?P<name>\w+)(:(?P<part>[a-z]+|(?P<first>\d+)-(?P<last>\d+)))?")
HELD_OUT = 20  # one in so many images of a folder without val/ validates, ten at most


@dataclass(frozen=True)
class ImageFile:
    """A high-res image, and the low-res versions that its set brings.

    Attributes:
        name: Unique within its set.
        path: The high-res file.
        low_res: Scale to file.
    """

    name: str
    path: Path
    low_res: Mapping[int, Path] = field(default_factory=dict)


def set_name(spec: str) -> str:
    """The set that a specification names: ``div2k`` of ``div2k:1-792``."""
    return spec.partition(":")[0]


def find_images(
    spec: str, data_dir: Path | None, cache_dir: Path, root: Path | None = None
) -> list[ImageFile]:
    """Files of a set, sorted by name.

    Args:
        spec: ``name``, ``name:split``, or ``name:first-last`` (from 1, both inclusive, of the
            training split), such as ``photos:train``, ``div2k:1-792``, ``set5``, ``folder``.
        data_dir: The user's data folder; it, its ``train/`` and its ``test/`` are searched.
        cache_dir: Where `prepare` unpacks, searched last.
        root: The folder that ``folder`` means. Its ``train/``, ``val/`` and ``test/`` are the
            splits; without them a few images are held out for validation.

    Raises:
        UserError: The specification is wrong, or the set is not here, or not complete; with
            the layout wanted, where it was looked for and how to get it.
    """
    match = SPEC.fullmatch(spec)
    if match is None:
        raise UserError(
            f"data set {spec!r} is not of the form name, name:split or name:first-last "
            "(such as photos:train, div2k:1-792, set5)"
        )
    name, part = match["name"], match["part"]
    if name not in SOURCES:
        close = difflib.get_close_matches(name, SOURCES, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UserError(f"there is no data set {name!r}{hint}\n  known: {', '.join(SOURCES)}")
    split = None if match["first"] else part
    if name == "photos":
        files = _photos(split)
    elif name == "folder":
        files = _folder(root, split)
    else:
        files = _published(name, split, _places(data_dir, cache_dir))
    if match["first"]:
        return _range(spec, files, int(match["first"]), int(match["last"]))
    return files


def missing_split(spec: str, data_dir: Path | None, cache_dir: Path) -> Split | None:
    """The published split that ``spec`` needs and that is not here; None when it is.

    Raises:
        UserError: As `find_images`, for what no download mends.
    """
    source = SOURCES.get(set_name(spec))
    if source is None or not source.splits:
        return None
    part = spec.partition(":")[2]
    split = source.splits.get(part) or next(iter(source.splits.values()))
    folder = _find_folder(split, _places(data_dir, cache_dir))
    return None if folder is not None and len(_images_in(folder)) >= split.count else split


def _places(data_dir: Path | None, cache_dir: Path) -> list[Path]:
    places = [data_dir, data_dir / "train", data_dir / "test"] if data_dir is not None else []
    return [*places, cache_dir / "datasets"]


def _range(spec: str, files: list[ImageFile], first: int, last: int) -> list[ImageFile]:
    if not 1 <= first <= last <= len(files):
        raise UserError(f"data set {spec}: the images are numbered 1 to {len(files)}")
    return files[first - 1 : last]


def _photos(split: str | None) -> list[ImageFile]:
    split = split or "train"
    if split not in PHOTOS:
        raise UserError(f"data set photos:{split}: the splits are {', '.join(PHOTOS)}")
    # Located, not imported: scikit-image takes a second to import.
    package = importlib.util.find_spec("skimage")
    if package is None or package.origin is None:
        raise UserError("data=photos needs scikit-image: pip install scikit-image")
    folder = Path(package.origin).parent / "data"
    absent = [name for name in PHOTOS[split] if not (folder / name).is_file()]
    if absent:
        raise UserError(
            f"data=photos: {folder} lacks {', '.join(absent)}; reinstall scikit-image "
            "from its wheel"
        )
    return [ImageFile(Path(name).stem, folder / name) for name in PHOTOS[split]]


def _published(name: str, split_name: str | None, places: Sequence[Path]) -> list[ImageFile]:
    source = SOURCES[name]
    split_name = split_name or next(iter(source.splits))
    split = source.splits.get(split_name)
    if split is None:
        raise UserError(f"data set {name}:{split_name}: the splits are {', '.join(source.splits)}")
    folder = _find_folder(split, places)
    if folder is None:
        raise UserError(_not_here(name, split_name, source, split, places))
    images = _images_in(folder)
    if len(images) != split.count:
        raise UserError(
            f"data set {name}: {folder} holds {len(images)} images instead of {split.count}; "
            f"complete it, or use it as it is with data=folder data.root={folder}"
        )
    return _image_files(folder, images)


def _not_here(
    name: str, split_name: str, source: Source, split: Split, places: Sequence[Path]
) -> str:
    get = source.by_hand or f"download it with: python -m sr_experiments.prepare data={name}"
    where = "".join(f"\n    {place}" for place in places)
    return (
        f"data set {name} ({split_name}) is not here\n"
        f"  wanted: {split.folders[0]}/ with its {split.count} images, in one of{where}\n"
        f"  {get}\n"
        "  or name the folder that holds it: paths.data_dir=... (or SR_DATA_DIR)"
    )


def _find_folder(split: Split, places: Sequence[Path]) -> Path | None:
    for place in places:
        for folder in split.folders:
            found = _resolve(place, folder)
            if found is not None and _images_in(found):
                return found
    return None


def _resolve(place: Path, relative: str) -> Path | None:
    """``place / relative``, whatever the case of the folders' names."""
    for part in relative.split("/"):
        if (place / part).is_dir():
            place = place / part
            continue
        if not place.is_dir():
            return None
        same = [child for child in place.iterdir() if child.name.lower() == part.lower()]
        if not same or not same[0].is_dir():
            return None
        place = same[0]
    return place


def _is_image(path: Path) -> bool:
    # A leading dot is also how macOS names the shadows it leaves in archives.
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def _images_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if _is_image(path) and path.is_file())


def _image_files(folder: Path, images: Sequence[Path]) -> list[ImageFile]:
    names = [path.relative_to(folder).with_suffix("").as_posix() for path in images]
    times = Counter(names)
    low_res = _low_res(folder)
    return [
        ImageFile(
            name=path.relative_to(folder).as_posix() if times[name] > 1 else name,
            path=path,
            low_res={
                scale: files[path.stem.lower()]
                for scale, files in low_res.items()
                if path.stem.lower() in files
            },
        )
        for name, path in zip(names, images, strict=True)
    ]


def _low_res(folder: Path) -> dict[int, dict[str, Path]]:
    """Scale to high-res stem to low-res file, of the folder that lies beside ``.../HR``."""
    if not folder.name.upper().endswith("HR"):
        return {}
    beside = _resolve(folder.parent, folder.name[:-2] + "LR_bicubic")
    found: dict[int, dict[str, Path]] = {}
    for child in sorted(beside.iterdir()) if beside is not None else []:
        match = re.fullmatch(r"[xX](\d+)", child.name)
        if match and child.is_dir():
            suffix = f"x{match[1]}"
            found[int(match[1])] = {
                path.stem.lower().removesuffix(suffix): path for path in _images_in(child)
            }
    return found


def _folder(root: Path | None, split: str | None) -> list[ImageFile]:
    if root is None:
        raise UserError("data=folder needs the folder of images: data.root=...")
    if not root.is_dir():
        raise UserError(f"data.root={root}: there is no such folder")
    if split not in (None, "train", "val", "test"):
        raise UserError(f"data set folder:{split}: the splits are train, val, test")
    if split is None:
        return _below(root)
    parts = {name: _resolve(root, name) for name in ("train", "val", "test")}
    own = parts[split]
    if own is not None and (split != "train" or parts["val"] is not None):
        return _below(own)
    if split == "test":
        raise UserError(f"data.root={root} has no folder test/ with pictures to test on")
    if parts["train"] is None and (parts["val"] or parts["test"]) is not None:
        raise UserError(f"data.root={root} has folders val/ or test/, and so needs train/ too")
    files = _below(parts["train"] or root)
    if len(files) < 2:
        raise UserError(f"data.root={root}: one image is too few, since one is held out")
    held_out = min(10, max(1, len(files) // HELD_OUT))
    return files[:-held_out] if split == "train" else files[-held_out:]


def _below(folder: Path) -> list[ImageFile]:
    folder = _resolve(folder, "HR") or folder
    images = sorted(
        path
        for path in folder.rglob("*")
        if _is_image(path)
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not images:
        suffixes = " ".join(sorted(SUFFIXES))
        raise UserError(f"{folder} holds no images ({suffixes})")
    return _image_files(folder, images)
