"""The networks that the package brings trained: ``pretrained=<name>``.

Each entry is three files of ``sr_experiments/weights``: ``xlsr_x3.safetensors`` (FP32, collapsed),
``xlsr_x3_int8.tflite``, and the card ``xlsr_x3.json``, which says what they were made of and what
they reach. ``python -m sr_experiments.ship`` writes all three.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sr_experiments.configuration.locations import PACKAGE
from sr_experiments.errors import UserError

FOLDER = PACKAGE / "weights"
DEFAULT = "xlsr"
DEFAULT_SCALE = 3


@dataclass(frozen=True)
class Entry:
    """One network at one scale.

    Attributes:
        model: Option of ``conf/model``.
        scale: Enlargement.
        folder: Where its files are.
    """

    model: str
    scale: int
    folder: Path = FOLDER

    @property
    def name(self) -> str:
        """Part of its files' names, and how tables call it."""
        return f"{self.model}_x{self.scale}"

    @property
    def weights(self) -> Path:
        """FP32, collapsed, as ``models.save_model`` writes it."""
        return self.folder / f"{self.name}.safetensors"

    @property
    def int8(self) -> Path:
        """The INT8 TFLite file."""
        return self.folder / f"{self.name}_int8.tflite"

    @property
    def card_file(self) -> Path:
        """What the card is read from."""
        return self.folder / f"{self.name}.json"

    @cached_property
    def card(self) -> Mapping[str, Any]:
        """What it was made of and what it reaches; see `reporting.cards`."""
        loaded: dict[str, Any] = json.loads(self.card_file.read_text(encoding="utf-8"))
        return loaded


def entries(folder: Path = FOLDER) -> list[Entry]:
    """Every entry, sorted by name and scale."""
    names = [file.stem.rpartition("_x") for file in folder.glob("*_x*.json")]
    return [
        Entry(model, scale, folder) for model, scale in sorted((m, int(s)) for m, _, s in names)
    ]


def shipped(model: str, scale: int | None = None, key: str = "pretrained") -> Entry:
    """The entry of a network.

    Args:
        model: Option of ``conf/model``.
        scale: Enlargement; None: 3, or the only one there is.
        key: What an error is blamed on.

    Raises:
        UserError: The package does not bring it.
    """
    found = [entry for entry in entries() if entry.model == model]
    scales = [entry.scale for entry in found]
    wanted = scale
    if scale is None:
        wanted = scales[0] if len(scales) == 1 else DEFAULT_SCALE
    for entry in found:
        if entry.scale == wanted:
            return entry
    if found:
        others = " or ".join(f"scale={there}" for there in scales)
        raise UserError(f"{key}={model}: the package does not bring it at x{wanted}; use {others}")
    known = ", ".join(dict.fromkeys(entry.model for entry in entries()))
    raise UserError(f"{key}={model}: the package brings {known}, and no {model}")
