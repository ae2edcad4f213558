"""The end of a run: test the shipped files, print the table, draw the strips."""

import io
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table
from torch import Tensor

from sr_experiments.data import Pair, SRData
from sr_experiments.deploy.latency import measure
from sr_experiments.deploy.runtimes import LiteRTRuntime, TorchRuntime
from sr_experiments.deploy.scoring import predict_image
from sr_experiments.files import write_atomic
from sr_experiments.functional.resize import upscale
from sr_experiments.metrics import psnr_rgb
from sr_experiments.reporting.evaluation import BASELINE, score_networks
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.reporting.scores import Predictor, SetScore
from sr_experiments.reporting.shipping import HEIGHT, WIDTH, Shipped
from sr_experiments.reporting.strips import comparison_strip

LATENCY_RUNS = 15
STRIPS = 8  # pictures drawn per set


def finish(folder: RunFolder, shipped: Shipped, data: SRData, threads: int) -> dict[str, Any]:
    """Score the shipped files on every test set, write ``images/``, and print the table.

    Returns:
        The values that ``summary.json`` gains.
    """
    fp32 = TorchRuntime(shipped.network)
    predictors: dict[str, Predictor] = {"fp32": lambda image: predict_image(fp32, image)}
    if shipped.int8 is not None:
        int8 = LiteRTRuntime(shipped.int8, threads=threads)
        predictors["int8"] = lambda image: predict_image(int8, image)
    scores: dict[str, dict[str, SetScore]] = {}
    for name, pairs in data.test_sets().items():
        remembered = {key: _Remember(predict) for key, predict in predictors.items()}
        scores[name] = score_networks(pairs, remembered, data.scale)
        labels = {BASELINE: BASELINE, "fp32": "FP32", "int8": "INT8"}
        if shipped.reference is not None:
            labels["fp32"] = "FP32 reference"
        _draw(folder, name, pairs, remembered, labels, data.scale)
    latency = None
    if shipped.int8 is not None:
        latency = measure(LiteRTRuntime(shipped.int8, threads=threads), HEIGHT, WIDTH, LATENCY_RUNS)
    values: dict[str, Any] = {
        "params": shipped.parameters,
        "fp32_reference": shipped.reference,
        "macs": shipped.macs,
        "test": {
            name: {key: score.mean for key, score in by_key.items()}
            for name, by_key in scores.items()
        },
        "int8_drop": _validation_drop(predictors, data),
        "tflite_bytes": None if shipped.int8 is None else shipped.int8.stat().st_size,
        "latency_ms": None if latency is None else latency.summary(),
    }
    print_table(values, data.missing)
    return values


def _validation_drop(predictors: Mapping[str, Predictor], data: SRData) -> float | None:
    if "int8" not in predictors:
        return None
    psnr = {
        key: fmean(
            psnr_rgb(predictors[key](low_res), high_res, data.scale)
            for _, low_res, high_res in data.val_pairs()
        )
        for key in ("fp32", "int8")
    }
    return psnr["fp32"] - psnr["int8"]


class _Remember:
    """A predictor that keeps its pictures, so that strips need no second run."""

    def __init__(self, predict: Predictor) -> None:
        self.predict = predict
        self.pictures: list[Tensor] = []

    def __call__(self, low_res: Tensor) -> Tensor:
        picture = self.predict(low_res)
        if len(self.pictures) < STRIPS:
            self.pictures.append(picture)
        return picture


def _draw(
    folder: RunFolder,
    set_name: str,
    pairs: Sequence[Pair],
    predictors: Mapping[str, _Remember],
    labels: Mapping[str, str],
    scale: int,
) -> None:
    images = folder.path / "images"
    images.mkdir(exist_ok=True)
    for index in range(min(STRIPS, len(pairs))):
        name, low_res, high_res = pairs[index]
        pictures = {BASELINE: upscale(low_res, scale)}
        pictures |= {key: predict.pictures[index] for key, predict in predictors.items()}
        captions = {
            f"{labels[key]} {psnr_rgb(picture, high_res, scale):.2f} dB": picture
            for key, picture in pictures.items()
        }
        picture = comparison_strip(low_res, high_res, captions, scale)
        out = io.BytesIO()
        picture.save(out, "png")
        write_atomic(images / f"{set_name}_{name}.png", out.getvalue())


def print_table(values: Mapping[str, Any], missing: Mapping[str, str]) -> None:
    """Print the results of a run: one row per test set."""
    table = Table(title="PSNR in dB: luma, border of the scale cut (RGB in brackets)")
    table.add_column("set")
    measured = ("bicubic", "FP32", "INT8", "drop")
    for column in measured if values["tflite_bytes"] is not None else measured[:2]:
        table.add_column(column, justify="right")
    for name, rows in values["test"].items():
        cells = [f"{row['psnr_y']:.2f} ({row['psnr_rgb']:.2f})" for row in rows.values()]
        if "int8" in rows:
            cells.append(f"{rows['fp32']['psnr_y'] - rows['int8']['psnr_y']:+.3f}")
        table.add_row(name, *cells)
    console = Console()
    console.print(table)
    if values["fp32_reference"] is not None:
        console.print(f"FP32 is the {values['fp32_reference']}", highlight=False)
    for name, reason in missing.items():
        console.print(f"{name}: not at hand ({reason.splitlines()[0]})", highlight=False)
    facts = [f"{values['params']:,} parameters"]
    if values["macs"] is not None:
        facts.append(f"{values['macs'] / 1e9:.2f} GMAC at 640x360")
    if values["tflite_bytes"] is not None:
        latency = values["latency_ms"]
        facts += [
            f"INT8 file {values['tflite_bytes'] / 1024:.1f} KiB",
            f"{latency['median']:.1f} ms (+-{latency['spread']:.1f}) at {latency['size']} "
            f"on {latency['threads']} threads of this CPU",
            f"validation drop {values['int8_drop']:+.3f} dB",
        ]
    console.print(", ".join(facts), highlight=False)
