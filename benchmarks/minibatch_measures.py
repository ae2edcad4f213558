"""The mini-batch study's metrics against other people's computation of them, and their cost.

    python benchmarks/minibatch_measures.py [images=3000] [runs=3] [weights=<MobileNetV2's file>]

On CIFAR-10: NumPy's sum, the standard library's HSV and scikit-image's Canny; and, where weights
are given, the perceptual distance written out in NumPy on torchvision's own network. scikit-image's
borders and ties differ from kornia's, so there the ranks count; `tests/studies/test_measures.py`
has Canny's steps done one by one, and equal. Then the CPU time of a picture: one at a time, a
hundred at a time, and from the cache.
"""

import colorsys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from skimage import color, feature
from torch import Tensor

from sr_experiments.configuration.entry import run_verb
from sr_experiments.configuration.options import CACHE_DIR, DATA_DIR
from sr_experiments.configuration.verbs import parse
from sr_experiments.data import Cifar10Data
from sr_experiments.studies.measures import (
    Edges,
    FeatureDistance,
    Intensity,
    MeanColour,
    Measure,
    measured,
)

LAYERS = (1, 3, 6, 13, 18)
AT_ONCE = 250  # pictures of the NumPy computation
SINGLE = 100  # pictures that are measured one at a time


@dataclass
class Options:
    """Options of the benchmark.

    images     training pictures, the first so many
    runs       timed runs, of which the median counts
    weights    MobileNetV2's, for input from -1 to 1; null: without the perceptual distance
    """

    images: int = 3000
    runs: int = 3
    weights: str | None = None
    data_dir: str | None = DATA_DIR
    cache_dir: str | None = CACHE_DIR


def intensity(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    return pictures.reshape(len(pictures), -1).sum(1, dtype=np.float64)[:, None]


def mean_colour(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.array([colorsys.rgb_to_hsv(*(p.mean((1, 2)) / 255).tolist()) for p in pictures])


def edges(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    grey = (color.rgb2gray(picture.transpose(1, 2, 0)) for picture in pictures)
    return np.array([[255 * feature.canny(one, 1.0, 0.1, 0.2).sum()] for one in grey], dtype=float)


def perceptual(weights: str) -> Callable[[NDArray[np.uint8]], NDArray[np.float64]]:
    from torchvision.models import mobilenet_v2

    network = mobilenet_v2()
    state = torch.load(weights, map_location="cpu", weights_only=True)
    network.load_state_dict({key: value.float() for key, value in state.items()})
    network.eval()

    def features(pictures: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        found, values = [], torch.from_numpy(2 * pictures / 255 - 1).float()
        with torch.no_grad():
            for index, layer in enumerate(network.features):
                values = layer(values)
                if index in LAYERS:
                    array = values.double().numpy()
                    found.append(array / (np.linalg.norm(array, axis=1, keepdims=True) + 1e-8))
        return found

    def distance(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        mean = features(pictures.astype(np.float64).mean(0, keepdims=True))
        parts = [
            sum(
                ((a - b) ** 2).sum(1).mean((1, 2))
                for a, b in zip(features(part.astype(np.float64)), mean, strict=True)
            )
            for part in np.split(pictures, range(AT_ONCE, len(pictures), AT_ONCE))
        ]
        return np.concatenate(parts)[:, None]

    return distance


def compare(
    measure: Measure,
    theirs: Callable[[NDArray[np.uint8]], NDArray[np.float64]],
    pictures: Tensor,
    runs: int,
) -> str:
    wanted = theirs(pictures.numpy())
    found = measured(measure, pictures, None).numpy()
    gap = np.abs(found - wanted).max() / np.ptp(wanted)
    ranks = min(spearmanr(a, b).statistic for a, b in zip(found.T, wanted.T, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        whole = timed(lambda: measured(measure, pictures, None), runs) / len(pictures)
        measured(measure, pictures, cache)
        kept = timed(lambda: measured(measure, pictures, cache), runs) / len(pictures)

    def one_by_one() -> None:
        for picture in pictures[:SINGLE]:
            measure(picture[None])

    with torch.no_grad():
        single = timed(one_by_one, runs) / SINGLE
    return (
        f"{gap:>14.1e}{ranks:>12.4f}{1e6 * single:>14.0f}{1e6 * whole:>12.1f}"
        f"{single / whole:>8.0f} x{1e6 * kept:>12.2f}{whole / kept:>8.0f} x"
    )


def timed(work: Callable[[], object], runs: int) -> float:
    """Median of the runs in seconds of this process's CPU, after one that warms up."""
    times = []
    for _ in range(runs + 1):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return median(times[1:])


def main() -> None:
    options = parse(Options)
    data = Cifar10Data(
        images=options.images, data_dir=options.data_dir, cache_dir=options.cache_dir
    )
    pictures = data.pictures()
    rows: list[tuple[str, Measure, Callable[[NDArray[np.uint8]], NDArray[np.float64]]]] = [
        ("intensity", Intensity(), intensity),
        ("mean colour", MeanColour(), mean_colour),
        ("edges", Edges(), edges),
    ]
    if options.weights is not None:
        half = [0.5] * 3
        layers = [f"features.{layer}" for layer in LAYERS]
        substitute = FeatureDistance(
            "torchvision/mobilenet_v2", layers, options.weights, half, half
        )
        rows.append(("feature distance", substitute, perceptual(options.weights)))
    print(f"{len(pictures)} pictures of CIFAR-10, {torch.get_num_threads()} threads")
    print(
        f"{'':18}{'largest gap *':>14}{'ranks':>12}{'one, us':>14}{'batched':>12}{'gain':>10}"
        f"{'cached':>12}{'gain':>10}"
    )
    for name, measure, theirs in rows:
        print(f"{name:18}{compare(measure, theirs, pictures, options.runs)}", flush=True)
    print("* between the two computations, as a share of the metric's range; ranks are Spearman's")


if __name__ == "__main__":
    run_verb(main)
