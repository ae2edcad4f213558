import numpy as np
import torch
from PIL.Image import Image

from sr_experiments.functional.resize import downscale, upscale
from sr_experiments.metrics import psnr_y
from sr_experiments.reporting.side_by_side import CROP, side_by_side
from sr_experiments.reporting.strips import CAPTION_HEIGHT, GAP


class Dimmed:
    """Bicubic, darker by some levels."""

    name = "dimmed"
    scale = 4
    input_size = None
    threads = 1
    radius = None

    def __init__(self, levels: int) -> None:
        self.levels = levels

    def predict(self, low_res: object) -> object:
        picture = upscale(torch.as_tensor(low_res)[0].permute(2, 0, 1), 4).int() - self.levels
        return picture.clamp(0, 255).to(torch.uint8).permute(1, 2, 0)[None].numpy()


def test_a_strip_has_low_res_each_network_and_the_original() -> None:
    rows, columns = torch.meshgrid(torch.arange(203), torch.arange(242), indexing="ij")
    original = torch.stack([rows, columns, 255 - columns]).clamp(60, 255).to(torch.uint8)
    low_res = downscale(original[:, :200, :240], 4)
    networks = {"plain": Dimmed(0), "dark": Dimmed(20)}
    (strip,) = side_by_side([("ramp", low_res, original)], networks, 4)  # type: ignore[arg-type]
    assert isinstance(strip.picture, Image)
    assert strip.picture.size == (4 * 2 * CROP + 3 * GAP, 2 * CROP + CAPTION_HEIGHT)
    dark = (upscale(low_res, 4).int() - 20).clamp(0, 255).to(torch.uint8)
    assert strip.fault == -psnr_y(dark, original[:, :200, :240], 4)
    dark_panel, right = (
        np.asarray(strip.picture)[CAPTION_HEIGHT:, left : left + 2 * CROP].mean()
        for left in (2 * (2 * CROP + GAP), 3 * (2 * CROP + GAP))
    )
    assert right - 21 < dark_panel < right - 15
