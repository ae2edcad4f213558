"""The end of a classifier's run: score every part, draw sheets, print the table."""

import io
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor

from sr_experiments.files import write_atomic
from sr_experiments.models import Classifier, count_parameters, load_classifier
from sr_experiments.reporting.classification.feature_maps import feature_maps, maps_sheet
from sr_experiments.reporting.classification.page import CLASSIFICATION
from sr_experiments.reporting.classification.pictures import certainty_sheet, suspects_sheet
from sr_experiments.reporting.classification.predictions import Predictions, as_csv, suspects
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.reporting.tables.render import FILE_WIDTH

SUSPECTS = 20
TITLES = {
    "loss": "loss",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced",
    "f1": "F1",
    "auroc": "AUROC",
    "calibration_error": "calibration",
    "unsure_share": "unsure",
}

ImageOf = Callable[[str, int], Tensor]


def finish(
    folder: RunFolder, network: Classifier, parts: Mapping[str, Predictions], image_of: ImageOf
) -> dict[str, Any]:
    """Write ``predictions.csv`` and ``images/``, and print the scores.

    Args:
        folder: With the saved network, which the feature maps are taken from.
        network: The same, in memory.
        parts: ``train``, ``val`` and ``test``.
        image_of: Picture of a part by its place, (3, S, S) in [0, 1].

    Returns:
        The values that ``summary.json`` gains.
    """
    write_atomic(folder.path / "predictions.csv", as_csv(parts))
    for name in ("val", "test"):
        sheet = certainty_sheet(parts[name], partial(image_of, name))
        _write(folder, f"{name}_by_certainty", sheet)
    found = suspects(parts)
    if found:
        sheet = suspects_sheet(found[:SUSPECTS], lambda item: image_of(item.part, item.index))
        _write(folder, "likely_label_errors", sheet)
    saved = load_classifier(folder.path / "model.safetensors")
    shown = int(torch.argmax(parts["test"].certainty))
    image = image_of("test", shown)
    _write(folder, "feature_maps", maps_sheet(image, feature_maps(saved, image)))
    values: dict[str, Any] = {
        "kind": CLASSIFICATION,
        "params": count_parameters(network),
        "classes": list(network.classes),
        "size": network.size,
        "pictures": {name: len(predictions.names) for name, predictions in parts.items()},
        "scores": {name: predictions.scores for name, predictions in parts.items()},
        "test": parts["test"].scores,
        "likely_label_errors": len(found),
    }
    print_scores(values)
    return values


def _write(folder: RunFolder, name: str, picture: Image.Image) -> None:
    out = io.BytesIO()
    picture.save(out, "png")
    write_atomic(folder.path / "images" / f"{name}.png", out.getvalue())


def print_scores(values: Mapping[str, Any]) -> None:
    """Print a row for each part."""
    table = Table(title="of the network with the best validation score")
    table.add_column("part")
    table.add_column("pictures", justify="right")
    for title in TITLES.values():
        table.add_column(title, justify="right")
    for name in ("train", "val", "test"):
        scores = values["scores"][name]
        cells = [f"{scores[key]:.4f}" for key in TITLES]
        table.add_row(name, str(values["pictures"][name]), *cells)
    console = Console()
    if not console.is_terminal:
        console.width = FILE_WIDTH  # rich would take a file for a screen of 80
    console.print(table)
    console.print(
        f"{values['params']:,} parameters, pictures of {values['size']}x{values['size']}",
        highlight=False,
    )
