"""One network on the test sets, as it is and as the INT8 file of each of some modes."""

from collections.abc import Mapping
from copy import deepcopy
from functools import partial

from rich.console import Console
from rich.table import Table

from sr_experiments.data import SRData
from sr_experiments.deploy.runtimes import LiteRTRuntime, TorchRuntime
from sr_experiments.deploy.scoring import predict_image
from sr_experiments.deploy.tflite import int8_model
from sr_experiments.models import SRModel, collapse
from sr_experiments.quantization import PostTraining
from sr_experiments.quantization.trace import trace
from sr_experiments.reporting.evaluation import BASELINE, score_networks
from sr_experiments.reporting.scores import Predictor

Scores = dict[str, dict[str, dict[str, float]]]
FLOATING = "fp32"


def score_modes(
    network: SRModel, modes: Mapping[str, PostTraining], data: SRData, threads: int
) -> Scores:
    """Quantise the network in every mode, and run the files.

    Args:
        network: Trained, on any device; it stays as it is.
        modes: By name.
        data: Calibration pictures and test sets.
        threads: Of LiteRT.

    Returns:
        Set, then ``bicubic``, ``fp32`` and each mode's name, to the means of the metrics.
    """
    twin = collapse(deepcopy(network).cpu())
    graph = trace(twin)
    predictors: dict[str, Predictor] = {FLOATING: partial(predict_image, TorchRuntime(twin))}
    for name, mode in modes.items():
        file = int8_model(mode.quantize(graph, mode.images(data).cpu()))
        predictors[name] = partial(predict_image, LiteRTRuntime(file, threads=threads))
    return {
        name: {
            key: score.mean for key, score in score_networks(pairs, predictors, data.scale).items()
        }
        for name, pairs in data.test_sets().items()
    }


def print_scores(scores: Scores) -> None:
    """Print a row per set: PSNR, and what each mode costs.

    Args:
        scores: Of `score_modes`.
    """
    table = Table(
        title="PSNR in dB: luma, border of the scale cut (drop of each INT8 file in brackets)"
    )
    table.add_column("set")
    for column in next(iter(scores.values()), {}):
        table.add_column("FP32" if column == FLOATING else column, justify="right")
    for name, rows in scores.items():
        fp32 = rows[FLOATING]["psnr_y"]
        cells = []
        for column, row in rows.items():
            drop = "" if column in (BASELINE, FLOATING) else f" ({fp32 - row['psnr_y']:+.3f})"
            cells.append(f"{row['psnr_y']:.2f}{drop}")
        table.add_row(name, *cells)
    Console().print(table)
