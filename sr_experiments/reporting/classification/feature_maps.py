"""What each layer of a trained classifier makes of one picture, seen by hooks."""

from collections.abc import Mapping

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

from sr_experiments.models import Classifier
from sr_experiments.reporting.classification.pictures import (
    BACKGROUND,
    FAINT,
    GAP,
    INK,
    MARGIN,
    thumb,
)

SIDE = 56  # pixels of a map
MAPS = 16  # of each layer
LAYERS = 24  # of a network; of deeper ones, as many evenly taken
LABEL = 120


def feature_maps(network: Classifier, image: Tensor) -> dict[str, Tensor]:
    """Outputs of every layer that has no layers of its own and keeps the picture's form.

    Args:
        network: In evaluation mode.
        image: (3, S, S) in [0, 1].

    Returns:
        Name of the module to (C, h, w), in the order in which they run.
    """
    found: dict[str, Tensor] = {}
    handles = []
    for name, module in network.named_modules():
        if not list(module.children()):
            handles.append(module.register_forward_hook(_keep(found, name)))
    try:
        with torch.no_grad():
            network(image[None])
    finally:
        for handle in handles:
            handle.remove()
    return found


def _keep(found: dict[str, Tensor], name: str):  # type: ignore[no-untyped-def]
    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            found[name] = output[0].clone()  # the next layer may work in place

    return hook


def maps_sheet(image: Tensor, maps: Mapping[str, Tensor]) -> Image.Image:
    """A row for each layer: its first maps, each stretched from its least to its greatest value.

    Args:
        image: (3, S, S) in [0, 1].
        maps: As `feature_maps` gives them.
    """
    names = list(maps)
    if len(names) > LAYERS:
        places = torch.linspace(0, len(names) - 1, LAYERS).round().int().tolist()
        names = [names[place] for place in places]
    width = LABEL + MAPS * (SIDE + GAP) + 2 * MARGIN
    canvas = Image.new("RGB", (width, 2 * MARGIN + (len(names) + 1) * (SIDE + GAP)), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(12)
    draw.text((MARGIN, MARGIN + 4), "input", INK, font)
    canvas.paste(thumb(image, SIDE), (MARGIN + LABEL, MARGIN))
    for row, name in enumerate(names, start=1):
        values = maps[name]
        y = MARGIN + row * (SIDE + GAP)
        count, height, wide = values.shape
        draw.text((MARGIN, y + 4), name, INK, font)
        draw.text((MARGIN, y + 20), f"{count} of {wide}x{height}", FAINT, font)
        for place, channel in enumerate(values[:MAPS]):
            low, high = channel.min(), channel.max()
            grey = (channel - low) / (high - low) if high > low else torch.zeros_like(channel)
            x = MARGIN + LABEL + place * (SIDE + GAP)
            canvas.paste(thumb(grey.expand(3, -1, -1), SIDE), (x, y))
    return canvas
