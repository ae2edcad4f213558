"""How alike a network's pictures look to the originals, beside bicubic's: a table for ``evaluate``.

LPIPS, DISTS and squared distances in layers of MobileNetV2, of rounded 8-bit pictures with a border
of the scale cut. A metric whose weights cannot be had is shown as not measured, with the reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from sr_experiments.data import Pair
from sr_experiments.errors import UserError
from sr_experiments.functional.pixels import to_float
from sr_experiments.functional.resize import upscale
from sr_experiments.losses import Perceptual
from sr_experiments.perception import DISTS, LPIPS
from sr_experiments.reporting.scores import Predictor

LAYERS = (6, 10, 13, 16, 18)  # of MobileNetV2; 16 and 18 are what Swift-SRGAN trains on
HUB, MOBILENET_HUB = "DEFAULT", "IMAGENET1K_V1"
HALF = (0.5, 0.5, 0.5)
NOT_MEASURED = "not measured"


@dataclass
class Looks:
    """What was measured.

    Attributes:
        scores: Set, then what made the pictures, then metric, to the mean over images.
        missing: Metric to why it was not measured.
    """

    scores: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def metrics(weights_dir: str | None, *, halves: bool) -> dict[str, nn.Module]:
    """The metrics by name; nothing is read yet.

    Args:
        weights_dir: Folder with files that begin with ``alexnet``, ``vgg16`` and
            ``mobilenet_v2``; None: torchvision's hub.
        halves: MobileNetV2's weights are used to pixels in -1..1.

    Raises:
        UserError: There is no such folder.
    """
    if weights_dir is not None and not Path(weights_dir).expanduser().is_dir():
        raise UserError(f"weights_dir={weights_dir}: there is no such folder")
    mobilenet = _weights(weights_dir, "mobilenet_v2", MOBILENET_HUB)
    found: dict[str, nn.Module] = {
        "lpips": LPIPS(_weights(weights_dir, "alexnet", HUB)),
        "dists": DISTS(_weights(weights_dir, "vgg16", HUB)),
    }
    for layer in LAYERS:
        found[f"mobilenet_{layer}"] = Perceptual(
            "torchvision/mobilenet_v2",
            [f"features.{layer}"],
            distance="mse",
            weights=mobilenet,
            mean=HALF if halves else None,
            std=HALF if halves else None,
        )
    return found


def _weights(folder: str | None, stem: str, hub: str) -> str:
    if folder is None:
        return hub
    here = Path(folder).expanduser()
    files = sorted(path for path in here.iterdir() if path.name.startswith(stem))
    return str(files[0] if files else here / f"{stem}.pth")


@torch.no_grad()
def compare(
    sets: Mapping[str, Sequence[Pair]],
    predictors: Mapping[str, Predictor],
    scale: int,
    wanted: Mapping[str, nn.Module],
) -> Looks:
    """Measure bicubic and every network on every set.

    Args:
        sets: Images by name.
        predictors: Name to (3, h, w) uint8 -> (3, scale * h, scale * w) uint8.
        scale: Also the border that is cut.
        wanted: Metrics by name.
    """
    looks = Looks()
    metrics = dict(wanted)
    makers: dict[str, Predictor] = {
        "bicubic": lambda low_res: upscale(low_res, scale),
        **predictors,
    }
    for name, pairs in sets.items():
        looks.scores[name] = {}
        for key, predict in makers.items():
            values: dict[str, list[float]] = {}
            for _, low_res, high_res in pairs:
                pair = _inside(predict(low_res), high_res, scale)
                for metric in list(metrics):
                    try:
                        value = float(metrics[metric](*pair))
                    except UserError as error:
                        looks.missing[metric] = str(error)
                        del metrics[metric]
                    else:
                        values.setdefault(metric, []).append(value)
            looks.scores[name][key] = {metric: fmean(row) for metric, row in values.items()}
    return looks


def _inside(prediction: Tensor, target: Tensor, border: int) -> tuple[Tensor, Tensor]:
    height, width = (
        min(sides) for sides in zip(prediction.shape[-2:], target.shape[-2:], strict=True)
    )
    cut = (..., slice(border, height - border), slice(border, width - border))
    return to_float(prediction[cut])[None], to_float(target[cut])[None]


def print_looks(looks: Looks, console: Console) -> None:
    """Print a table, less being nearer to the original, and what was not measured."""
    names = [
        *dict.fromkeys(m for rows in looks.scores.values() for row in rows.values() for m in row),
        *looks.missing,
    ]
    keys = list(dict.fromkeys(key for rows in looks.scores.values() for key in rows))
    table = Table(title="Distance from the originals, less is nearer")
    for title in ("set", "distance", *keys):
        table.add_column(title, justify="right" if title in keys else "left")
    for name, rows in looks.scores.items():
        for metric in names:
            found = [rows.get(key, {}).get(metric) for key in keys]
            cells = (NOT_MEASURED if value is None else f"{value:.4f}" for value in found)
            table.add_row(name, metric, *cells)
        table.add_section()
    console.print(table)
    reasons: dict[str, list[str]] = {}
    for metric, reason in looks.missing.items():
        reasons.setdefault(reason.splitlines()[0], []).append(metric)
    for reason, of in reasons.items():
        console.print(f"{', '.join(of)}: {NOT_MEASURED}, {reason}", markup=False, highlight=False)
    if reasons:
        console.print("weights_dir=<folder> reads files of weights from there", markup=False)
