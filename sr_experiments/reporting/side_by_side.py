"""``figure=side_by_side``: low-res, the networks and the original, where there is most detail."""

from collections.abc import Iterator, Mapping, Sequence

from sr_experiments.data import Pair
from sr_experiments.deploy.runtimes import Runtime
from sr_experiments.deploy.scoring import predict_image
from sr_experiments.deploy.torch_runtime import TorchRuntime
from sr_experiments.metrics import psnr_y
from sr_experiments.models import load_model
from sr_experiments.reporting.false_colours import WEIGHTS, Crops
from sr_experiments.reporting.strips import busiest_crop, common_size, strip
from sr_experiments.reporting.tables.trained import TrainedRun

CROP = 132  # high-res pixels, shown twice as large


def open_networks(runs: Sequence[TrainedRun]) -> dict[str, Runtime]:
    """The FP32 network of each run, by the name of its architecture."""
    found: dict[str, Runtime] = {}
    for run in runs:
        network = load_model(run.path / WEIGHTS)
        caption = type(network).__name__
        while caption in found:
            caption += "'"
        found[caption] = TorchRuntime(network)
    return found


def side_by_side(
    pairs: Sequence[Pair], runtimes: Mapping[str, Runtime], scale: int
) -> Iterator[Crops]:
    """Cut the strips of a set.

    Args:
        pairs: Name, low-res and high-res image, (3, H, W) uint8.
        runtimes: The networks, by caption.
        scale: Enlargement.

    Yields:
        A strip for each picture; its ``fault`` is the error of the worst network, -PSNR in dB.
    """
    for name, low_res, high_res in pairs:
        height, width = common_size(low_res, high_res, scale)
        original = high_res[:, :height, :width]
        size = min(CROP, height, width) // scale * scale
        y, x = busiest_crop(original, size, scale)
        window = (slice(None), slice(y, y + size), slice(x, x + size))
        top, left, side = y // scale, x // scale, size // scale
        panels = {"low-res": low_res[:, top : top + side, left : left + side]}
        scores = []
        for caption, runtime in runtimes.items():
            picture = predict_image(runtime, low_res)[:, :height, :width]
            scores.append(psnr_y(picture, original, scale))
            panels[f"{caption} {scores[-1]:.2f} dB"] = picture[window]
        panels["original"] = original[window]
        yield Crops(name, -min(scores), strip(panels, 2 * size))
