"""Sheets of small pictures with what a classifier says of them."""

from collections.abc import Callable, Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from sr_experiments.functional.probability import UNSURE
from sr_experiments.reporting.classification.predictions import Predictions, Suspect

THUMB, CAPTION, GAP, MARGIN = 88, 18, 6, 10  # pixels
COLUMNS = 10
PER_GROUP = 20
BACKGROUND, INK, FAINT, WRONG = (250, 250, 250), (20, 20, 20), (110, 110, 110), (200, 40, 30)
FRAME = 3

ImageOf = Callable[[int], Tensor]


def certainty_sheet(predictions: Predictions, image_of: ImageOf) -> Image.Image:
    """Pictures from the surest no to the surest yes, the unsure band set apart.

    Each group shows all of its pictures, or as many as fit, evenly taken from its order. Red:
    the label says otherwise.

    Args:
        predictions: Of a part.
        image_of: Picture of that part, (3, S, S) in [0, 1].
    """
    low, high = predictions.unsure
    order = predictions.certainty.argsort(stable=True).tolist()
    groups: list[tuple[str, list[int]]] = []
    if len(predictions.classes) == 2:
        titles = {
            predictions.classes[0]: f"{predictions.classes[0]}: below {low:g}",
            UNSURE: f"unsure: {low:g} to {high:g}",
            predictions.classes[1]: f"{predictions.classes[1]}: above {high:g}",
        }
    else:
        titles = {UNSURE: f"unsure: no class reaches {high:g}"}
        titles |= {name: name for name in predictions.classes}
    for word, title in titles.items():
        members = [index for index in order if predictions.said[index] == word]
        groups.append((f"{title} ({len(members)} of {len(order)})", _evenly(members, PER_GROUP)))
    tiles = []
    for title, members in groups:
        tiles.append((title, [_tile(predictions, index, image_of(index)) for index in members]))
    return _sheet(tiles)


def suspects_sheet(found: Sequence[Suspect], image_of: Callable[[Suspect], Tensor]) -> Image.Image:
    """The likeliest label errors, the likeliest first, with part and label."""
    tiles = [
        (image_of(item), f"{item.part}: {item.label}?", f"p {item.probability:.3f}", False)
        for item in found
    ]
    return _sheet([("labels that the network does not believe", tiles)])


Tile = tuple[Tensor, str, str, bool]


def _tile(predictions: Predictions, index: int, image: Tensor) -> Tile:
    label = int(predictions.labels[index])
    value = float(predictions.certainty[index])
    wrong = int(predictions.probabilities[index].argmax()) != label
    return image, f"p {value:.3f}", predictions.classes[label] if wrong else "", wrong


def _evenly(members: list[int], count: int) -> list[int]:
    if len(members) <= count:
        return members
    places = torch.linspace(0, len(members) - 1, count).round().int().tolist()
    return [members[place] for place in places]


def _sheet(groups: Sequence[tuple[str, Sequence[Tile]]]) -> Image.Image:
    cell = THUMB + 2 * CAPTION + GAP
    heights = [
        CAPTION + GAP + (-(-len(tiles) // COLUMNS) * cell or CAPTION) + MARGIN
        for _, tiles in groups
    ]
    size = (2 * MARGIN + COLUMNS * (THUMB + GAP), MARGIN + sum(heights))
    canvas = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    font, small = ImageFont.load_default(14), ImageFont.load_default(12)
    top = MARGIN
    for (title, tiles), height in zip(groups, heights, strict=True):
        draw.text((MARGIN, top), title, INK, font)
        if not tiles:
            draw.text((MARGIN, top + CAPTION + GAP), "none", FAINT, small)
        for place, (image, first, second, wrong) in enumerate(tiles):
            row, column = divmod(place, COLUMNS)
            x, y = MARGIN + column * (THUMB + GAP), top + CAPTION + GAP + row * cell
            if wrong:
                draw.rectangle(
                    (x - FRAME, y - FRAME, x + THUMB + FRAME - 1, y + THUMB + FRAME - 1), WRONG
                )
            canvas.paste(thumb(image, THUMB), (x, y))
            draw.text((x, y + THUMB + 3), first, INK, small)
            draw.text((x, y + THUMB + 2 + CAPTION - 3), second, WRONG if wrong else FAINT, small)
        top += height
    return canvas


def thumb(image: Tensor, side: int) -> Image.Image:
    """A picture, (3, S, S) in [0, 1], pixel by pixel at another size."""
    pixels = image.mul(255).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous()
    return Image.fromarray(pixels.cpu().numpy()).resize((side, side), Image.Resampling.NEAREST)
