"""Crops of test pictures, as every network made them, for the slider of a page.

A run keeps one lossless file for each picture it drew: bicubic, the networks and the original
side by side, pixel by pixel. The crop depends on the original and the scale alone, so the files
of several runs show the same place.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image
from torch import Tensor

from sr_experiments.files import write_atomic
from sr_experiments.reporting.image_scores import ImageScores
from sr_experiments.reporting.scores import LABELS
from sr_experiments.reporting.slider import Layer, Picture
from sr_experiments.reporting.strips import busiest_crop, to_pixels

SIDE = 240  # high-res pixels; a multiple of every scale
FOLDER = Path("images") / "panels"
ORIGINAL = "original"


def write_panels(
    path: Path, high_res: Tensor, predictions: Mapping[str, Tensor], scale: int
) -> None:
    """Write the crop with the most detail, out of every prediction and out of the original.

    Args:
        path: A ``.webp`` file; its folder is made.
        high_res: (3, H, W) uint8.
        predictions: (3, H, W) uint8 each; bicubic first.
        scale: Enlargement.
    """
    panels = cut_panels(high_res, predictions, scale)
    width, height = panels[0].size
    sheet = Image.new("RGB", (width * len(panels), height))
    for index, panel in enumerate(panels):
        sheet.paste(panel, (index * width, 0))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, lossless(sheet))


def cut_panels(
    high_res: Tensor, predictions: Mapping[str, Tensor], scale: int
) -> list[Image.Image]:
    """The crop out of every prediction, then out of the original."""
    y, x = busiest_crop(high_res, SIDE, scale)
    pictures = [*predictions.values(), high_res]
    return [Image.fromarray(to_pixels(item[:, y : y + SIDE, x : x + SIDE])) for item in pictures]


def read_panels(run: Path, scores: ImageScores) -> dict[tuple[str, str], list[Image.Image]]:
    """Panels of a run by set and picture, in the order of ``scores`` and the original last.

    A file that is damaged, or that does not hold as many panels as the picture has scores, is
    left out.
    """
    found = {}
    for set_name, by_kind in scores.items():
        for name in next(iter(by_kind.values()), {}):
            path = panels_file(run, set_name, name)
            panels = _cut_sheet(path, len(by_kind) + 1)
            if panels is not None:
                found[set_name, name] = panels
    return found


def panels_file(run: Path, set_name: str, name: str) -> Path:
    """Where the panels of a picture lie; never outside of the run's folder."""
    return run / FOLDER / Path(f"{set_name}_{name}.webp".replace("/", "_")).name


def _cut_sheet(path: Path, count: int) -> list[Image.Image] | None:
    try:
        with Image.open(path) as sheet:
            whole = sheet.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    width, rest = divmod(whole.width, count)
    if rest or width > SIDE:
        return None
    return [
        whole.crop((index * width, 0, (index + 1) * width, whole.height)) for index in range(count)
    ]


def lossless(picture: Image.Image) -> bytes:
    """The picture as WebP without loss, two thirds of a PNG's size."""
    out = io.BytesIO()
    picture.save(out, "webp", lossless=True, exact=True)
    return out.getvalue()


def pictures_of(run: Path, scores: ImageScores) -> list[Picture]:
    """What the slider shows of one run.

    Args:
        run: Its folder.
        scores: Its `read_scores`.
    """
    return [
        Picture(
            f"{set_name}: {name}",
            panels[0].width,
            panels[0].height,
            [*layers(panels, set_name, name, scores), Layer(ORIGINAL, lossless(panels[-1]))],
        )
        for (set_name, name), panels in read_panels(run, scores).items()
    ]


def layers(
    panels: Sequence[Image.Image], set_name: str, name: str, scores: ImageScores
) -> list[Layer]:
    """The versions of one picture without the original, with the PSNR of the whole picture."""
    kinds = scores[set_name]
    return [
        Layer(
            LABELS.get(kind, kind),
            lossless(panel),
            f"{by_image[name]['psnr_rgb']:.2f} dB RGB" if name in by_image else "",
        )
        for (kind, by_image), panel in zip(kinds.items(), panels, strict=False)
    ]
