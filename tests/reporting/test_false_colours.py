import numpy as np
import torch
from PIL.Image import Image

from sr_experiments.functional.resize import downscale, upscale
from sr_experiments.reporting.false_colours import SHOWN, false_colours, worst_crop
from sr_experiments.reporting.strips import CAPTION_HEIGHT, GAP


class Tinted:
    """Bicubic that paints a square of the picture red, as a quantised network might."""

    name = "tinted"
    scale = 3
    input_size = None
    threads = 1
    radius = None

    def predict(self, low_res: object) -> object:
        image = torch.as_tensor(low_res)[0].permute(2, 0, 1)
        picture = upscale(image, 3).float()
        picture[0, 120:180, 30:90] += 60
        return picture.permute(1, 2, 0)[None].numpy()


def photo() -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.arange(240), torch.arange(210), indexing="ij")
    return torch.stack([rows // 2, columns // 2, (rows + columns) // 4]).to(torch.uint8)


def test_the_worst_crop_is_where_the_colour_is_false() -> None:
    original = photo()
    wrong = original.clone()
    wrong[2, 60:120, 90:150] += 90
    noise = torch.randn(3, 240, 210, generator=torch.Generator().manual_seed(0))
    noisy = (original.float() + 25 * noise).clamp(0, 255).to(torch.uint8)
    y, x, fault = worst_crop([noisy, wrong], original, 60, 3)
    assert (y, x) == (60, 90)
    assert fault == 30  # 90 levels in one of three colours; noise has no mean


def test_a_strip_shows_low_res_bicubic_networks_and_original() -> None:
    original = photo()
    pairs = [("ramp", downscale(original, 3), original)]
    (crops,) = false_colours(pairs, {"tinted": Tinted()}, 3)  # type: ignore[dict-item]
    assert isinstance(crops.picture, Image)
    assert crops.picture.size == (4 * SHOWN + 3 * GAP, SHOWN + CAPTION_HEIGHT)
    tinted = crops.picture.crop((2 * (SHOWN + GAP), CAPTION_HEIGHT, 3 * SHOWN + 2 * GAP, 999))
    plain = crops.picture.crop((SHOWN + GAP, CAPTION_HEIGHT, 2 * SHOWN + GAP, 999))
    red = [np.asarray(image)[..., 0].mean() for image in (plain, tinted)]
    assert red[1] > red[0] + 5
    assert crops.fault > 5
