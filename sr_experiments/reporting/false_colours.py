"""``figure=xlsr_4``: what INT8 does to colours and gradients, crop by crop.

Figure 4 of the XLSR paper shows pictures of DIV2K enlarged by quantised networks: FSRCNN and
ESPCN, whose outputs are linear, get false colours and stairs where the original has a gradient.
Which pictures and crops is not in its text. Here each picture is cut where the mean colour of a
crop is furthest from the original's in any of the networks, and the worst pictures are shown:
the fault is looked for, not hoped for.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch.nn.functional as F
from PIL.Image import Image
from torch import Tensor

from sr_experiments.data import Pair
from sr_experiments.deploy.runtimes import LiteRTRuntime, Runtime, TorchRuntime
from sr_experiments.deploy.scoring import predict_image
from sr_experiments.errors import UserError
from sr_experiments.files import write_atomic
from sr_experiments.functional.resize import upscale
from sr_experiments.metrics import psnr_rgb
from sr_experiments.models import load_model
from sr_experiments.reporting.strips import common_size, strip
from sr_experiments.reporting.tables.trained import TrainedRun

CROP = 96  # high-res pixels, shown at SHOWN
SHOWN = 264
INT8_FILE, WEIGHTS = "model_int8.tflite", "model.safetensors"


@dataclass(frozen=True)
class Crops:
    """The strip of one picture.

    Attributes:
        name: Of the picture.
        fault: Largest error of a crop's mean colour, in levels of 0..255.
        picture: Low-res, bicubic, the networks and the original side by side.
    """

    name: str
    fault: float
    picture: Image


def common_scale(runs: Sequence[TrainedRun]) -> int:
    """The enlargement of all runs.

    Raises:
        UserError: They differ, or there is no run.
    """
    scales = sorted({run.scale for run in runs})
    if len(scales) != 1:
        found = f"enlarge x{' and x'.join(map(str, scales))}" if scales else "are not finished"
        raise UserError(f"runs= {found}: name runs of one scale")
    return scales[0]


def open_runs(runs: Sequence[TrainedRun], threads: int) -> dict[str, Runtime]:
    """What runs each network, by caption: its INT8 file, or FP32 where it has none."""
    found: dict[str, Runtime] = {}
    for run in runs:
        file = run.path / INT8_FILE
        kind = "INT8" if file.is_file() else "FP32"
        caption = f"{run.model} {kind}"
        while caption in found:
            caption += "'"
        found[caption] = (
            LiteRTRuntime(file, threads)
            if file.is_file()
            else TorchRuntime(load_model(run.path / WEIGHTS))
        )
    return found


def worst_crop(
    predictions: Sequence[Tensor], high_res: Tensor, size: int, step: int
) -> tuple[int, int, float]:
    """Where the mean colour of a crop is furthest from the original's.

    Args:
        predictions: Of the networks, each (3, H, W) uint8.
        high_res: (3, H, W) uint8.
        size: Side of the crop, in pixels.
        step: Grid of the corner, the scale.

    Returns:
        Top, left, and the error there in levels: the mean over colours of absolute differences
        of means.
    """
    worst = (0, 0, -1.0)
    for prediction in predictions:
        difference = prediction.float() - high_res.float()
        pooled = F.avg_pool2d(difference[None], size, stride=step)[0].abs().mean(0)
        position = int(pooled.argmax())
        fault = float(pooled.flatten()[position])
        if fault > worst[2]:
            row, column = divmod(position, pooled.shape[1])
            worst = (row * step, column * step, fault)
    return worst


def false_colours(
    pairs: Sequence[Pair], runtimes: Mapping[str, Runtime], scale: int
) -> Iterator[Crops]:
    """Cut the strips of a set.

    Args:
        pairs: Name, low-res and high-res image, (3, H, W) uint8.
        runtimes: The networks, by caption.
        scale: Enlargement.
    """
    for name, low_res, high_res in pairs:
        height, width = common_size(low_res, high_res, scale)
        original = high_res[:, :height, :width]
        pictures = {
            caption: predict_image(runtime, low_res)[:, :height, :width]
            for caption, runtime in runtimes.items()
        }
        size = min(CROP, height, width) // scale * scale
        y, x, fault = worst_crop(list(pictures.values()), original, size, scale)
        rows, columns = slice(y, y + size), slice(x, x + size)
        small = low_res[:, y // scale : (y + size) // scale, x // scale : (x + size) // scale]
        bicubic = upscale(low_res, scale)[:, :height, :width]
        panels = {"low-res": small}
        for caption, picture in {"bicubic": bicubic, **pictures}.items():
            psnr = psnr_rgb(picture, original, scale)
            panels[f"{caption} {psnr:.2f} dB"] = picture[:, rows, columns]
        panels["original"] = original[:, rows, columns]
        yield Crops(name, fault, strip(panels, SHOWN))


def write_crops(crops: Sequence[Crops], set_name: str, folder: Path) -> list[Path]:
    """Write strips as PNG files."""
    paths = []
    for item in crops:
        out = io.BytesIO()
        item.picture.save(out, "png")
        path = folder / f"{set_name}_{Path(item.name).name}.png"
        write_atomic(path, out.getvalue())
        paths.append(path)
    return paths
