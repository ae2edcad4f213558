"""The end of a run: test the shipped files, print the table, draw the strips."""

import io
from collections.abc import Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any

import torch
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
from sr_experiments.reporting import image_scores
from sr_experiments.reporting.evaluation import BASELINE, score_networks
from sr_experiments.reporting.panels import panels_file, write_panels
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.reporting.scores import LABELS, Predictor, SetScore
from sr_experiments.reporting.shipping import HEIGHT, WIDTH, Shipped
from sr_experiments.reporting.strips import comparison_strip
from sr_experiments.reporting.wording import counted

LATENCY_RUNS = 15
PATIENCE = 10.0  # seconds for all of them; int16 takes as long for one frame
STRIPS = 8  # pictures drawn per set


def finish(folder: RunFolder, shipped: Shipped, data: SRData, threads: int) -> dict[str, Any]:
    """Score the shipped files on every test set, write ``images/``, and print the table.

    Returns:
        The values that ``summary.json`` gains.
    """
    fp32 = TorchRuntime(shipped.network)
    predictors: dict[str, Predictor] = {"fp32": partial(predict_image, fp32)}
    latency: dict[str, dict[str, Any]] = {}
    files = {"int8": shipped.int8, "fp16": shipped.fp16}
    for key, file in files.items():
        if file is not None:
            predictors[key] = partial(predict_image, LiteRTRuntime(file, threads=threads))
    if shipped.fp16 is not None and torch.cuda.is_available():
        half = TorchRuntime(shipped.network, device="cuda", half=True)
        predictors["fp16_cuda"] = partial(predict_image, half)
    scores: dict[str, dict[str, SetScore]] = {}
    for name, pairs in data.test_sets().items():
        remembered = {key: _Remember(predict) for key, predict in predictors.items()}
        scores[name] = score_networks(pairs, remembered, data.scale)
        labels = {BASELINE: BASELINE} | {key: LABELS[key] for key in predictors}
        if shipped.reference is not None:
            labels["fp32"] = "FP32 reference"
        _draw(folder, name, pairs, remembered, labels, data.scale)
    label = f"{folder.path.parent.name}/{folder.path.name}"
    write_atomic(folder.path / image_scores.FILE, image_scores.as_csv(label, data.scale, scores))
    for key, file in files.items():
        if file is not None:
            runtime = LiteRTRuntime(file, threads=threads)
            timed = measure(runtime, HEIGHT, WIDTH, LATENCY_RUNS, patience=PATIENCE)
            latency[key] = timed.summary()
    values: dict[str, Any] = {
        "params": shipped.parameters,
        "fp32_reference": shipped.reference,
        "macs": shipped.macs,
        "test": {
            name: {key: score.mean for key, score in by_key.items()}
            for name, by_key in scores.items()
        },
        "int8_drop": _validation_drop(predictors, "int8", data),
        "tflite_bytes": None if shipped.int8 is None else shipped.int8.stat().st_size,
        "latency_ms": latency.get("int8"),
    }
    if shipped.fp16 is not None:
        values["fp16"] = {
            "drop": _validation_drop(predictors, "fp16", data),
            "tflite_bytes": shipped.fp16.stat().st_size,
            "latency_ms": latency["fp16"],
        }
    print_table(values, data.missing)
    return values


def _validation_drop(predictors: Mapping[str, Predictor], kind: str, data: SRData) -> float | None:
    if kind not in predictors:
        return None
    psnr = {
        key: fmean(
            psnr_rgb(predictors[key](low_res), high_res, data.scale)
            for _, low_res, high_res in data.val_pairs()
        )
        for key in ("fp32", kind)
    }
    return psnr["fp32"] - psnr[kind]


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
        write_panels(panels_file(folder.path, set_name, name), high_res, pictures, scale)


def print_table(values: Mapping[str, Any], missing: Mapping[str, str]) -> None:
    """Print the results of a run: one row per test set."""
    table = Table(title="PSNR in dB: luma, border of the scale cut (RGB in brackets)")
    table.add_column("set")
    tested = list(next(iter(values["test"].values()), {}))
    kind = next((key for key in ("int8", "fp16") if key in tested), None)
    for column in [*(LABELS.get(key, key) for key in tested), *(["drop"] if kind else [])]:
        table.add_column(column, justify="right")
    for name, rows in values["test"].items():
        cells = [f"{row['psnr_y']:.2f} ({row['psnr_rgb']:.2f})" for row in rows.values()]
        if kind:
            cells.append(f"{rows['fp32']['psnr_y'] - rows[kind]['psnr_y']:+.3f}")
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
    half = values.get("fp16")
    if half is not None:
        facts += _measured("FP16", half["tflite_bytes"], half["latency_ms"], half["drop"])
    if values["tflite_bytes"] is not None:
        latency, drop = values["latency_ms"], values["int8_drop"]
        facts += _measured("INT8", values["tflite_bytes"], latency, drop)
    console.print(", ".join(facts), highlight=False)


def _measured(kind: str, size: int, latency: Mapping[str, Any], drop: float) -> list[str]:
    return [
        f"{kind} file {size / 1024:.1f} KiB",
        f"{latency['median']:.1f} ms (+-{latency['spread']:.1f}) at {latency['size']} "
        f"on {counted(latency['threads'], 'thread')} of this CPU",
        f"validation drop {drop:+.3f} dB",
    ]
