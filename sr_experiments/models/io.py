"""A network in one file: weights and how to build it, without pickle.

A safetensors file whose metadata holds ``schema_version``, ``model`` (JSON: the class and its
options), ``scale`` (of networks that enlarge), ``form`` (``training`` or ``collapsed``) and, after
quantisation-aware training, ``ranges`` (JSON: the scales that it was trained with, or null).
"""

import importlib
import inspect
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.files import write_atomic
from sr_experiments.models.base import SRModel
from sr_experiments.models.classifiers.base import Classifier
from sr_experiments.models.collapse import collapse

SCHEMA_VERSION = "1"
PACKAGE = "sr_experiments.models"
DAMAGED = {
    "model": "its metadata does not say which network it is",
    "ranges": "the trained ranges in its metadata are damaged",
}


@dataclass(frozen=True)
class SavedModel:
    """A network as its file describes it.

    Attributes:
        config: Its class, as ``_target_``, and options.
        collapsed: Whether its training-time structure is folded away.
        tensors: Its state dict.
        where: What errors call it.
        quantized: Whether quantisation-aware training has moved its weights.
        ranges: The scales that it was trained with, where they are known.
    """

    config: Mapping[str, Any]
    collapsed: bool
    tensors: Mapping[str, Tensor]
    where: str
    quantized: bool = False
    ranges: dict[str, Any] | None = None

    def empty(self) -> SRModel:
        """The network with fresh weights, in evaluation mode.

        Raises:
            UserError: The description fits no network of this package, or one of classes.
        """
        model = _build(dict(self.config), self.where)
        if not isinstance(model, SRModel):
            raise UserError(
                f"{self.where} is a classifier, {type(model).__name__}, and enlarges nothing: use "
                "python -m sr_experiments.classify"
            )
        return collapse(model) if self.collapsed else model.eval()

    def build(self) -> SRModel:
        """The network with its weights, in evaluation mode on the CPU.

        Raises:
            UserError: The description fits no network of this package, or not the weights.
        """
        model = self.empty()
        self._fill(model)
        model.fresh, model.quantized, model.ranges = False, self.quantized, self.ranges
        return model

    def classifier(self) -> Classifier:
        """The classifier with its weights, in evaluation mode on the CPU.

        Raises:
            UserError: The description fits no classifier of this package, or not the weights.
        """
        model = _build(dict(self.config), self.where)
        if not isinstance(model, Classifier):
            raise UserError(f"{self.where} is no classifier but {type(model).__name__}")
        self._fill(model)
        model.fresh = False
        return model.eval()

    def _fill(self, model: nn.Module) -> None:
        expected = model.state_dict()
        for key in sorted(expected.keys() | self.tensors.keys()):
            if key not in self.tensors:
                raise UserError(f"{self.where}: weight {key} is missing.")
            if key not in expected:
                raise UserError(
                    f"{self.where}: weight {key} does not belong to {self.config['_target_']}."
                )
            if expected[key].shape != self.tensors[key].shape:
                raise UserError(
                    f"{self.where}: weight {key} has shape {tuple(self.tensors[key].shape)}, but "
                    "the network its metadata describes needs "
                    f"{tuple(expected[key].shape)}."
                )
        model.load_state_dict(dict(self.tensors))


def save_model(model: SRModel | Classifier, config: Mapping[str, Any], path: Path | str) -> None:
    """Write a network, collapsed or not; the same network gives the same bytes.

    Args:
        model: What to save, on any device.
        config: ``_target_`` (a class of ``sr_experiments.models``) and its options as plain
            values: what ``conf/model`` resolved to.
        path: File to write; it appears whole or not at all.

    Raises:
        UserError: The configuration does not describe this model.
    """
    if not isinstance(model, _model_class(config, "the model's configuration")):
        raise UserError(
            f"_target_: {config['_target_']} is not the class of this network, "
            f"which is {type(model).__name__}."
        )
    metadata = {
        "schema_version": SCHEMA_VERSION,
        "model": json.dumps(dict(config), sort_keys=True),
        "form": "training",
    }
    if isinstance(model, SRModel):
        metadata |= {"scale": str(model.scale)}
        metadata |= {"form": "collapsed"} if model.collapsed else {}
        ranges = json.dumps(model.ranges, sort_keys=True)
        metadata |= {"ranges": ranges} if model.quantized else {}
    tensors = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    write_atomic(Path(path), _sorted_header(save(tensors, metadata)))


def load_model(path: Path | str) -> SRModel:
    """Build the network that a file describes and give it its weights.

    Only classes of ``sr_experiments.models`` are built: a file cannot name other code.

    Returns:
        The network in evaluation mode on the CPU.

    Raises:
        UserError: The file is missing, is no such file, or does not fit its own description.
    """
    return read_model(path).build()


def load_classifier(path: Path | str) -> Classifier:
    """As `load_model`, for a file that holds a classifier.

    Raises:
        UserError: As `load_model`, or it holds another network.
    """
    return read_model(path).classifier()


def read_model(path: Path | str) -> SavedModel:
    """Read a file of `save_model` without building its network.

    Raises:
        UserError: The file is missing or is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} is not there.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(
            f"{path} is not a safetensors file, or is damaged: {error}; wanted is what a run "
            "folder has as model.safetensors, so copy that again or name another"
        ) from error
    if metadata.get("schema_version") != SCHEMA_VERSION:
        raise UserError(
            f"{path} was not written by this version of sr_experiments: its metadata says "
            f"schema_version {metadata.get('schema_version')}, not {SCHEMA_VERSION}."
        )
    config = _metadata(metadata, "model", path)
    if config is None:
        raise UserError(f"{path}: {DAMAGED['model']}")
    collapsed, quantized = metadata.get("form") == "collapsed", "ranges" in metadata
    ranges = _metadata(metadata, "ranges", path)
    return SavedModel(config, collapsed, tensors, str(path), quantized, ranges)


def _metadata(metadata: Mapping[str, str], key: str, path: Path) -> dict[str, Any] | None:
    """A mapping that the metadata hold as JSON; None where they hold none."""
    try:
        value = json.loads(metadata.get(key, "null"))
    except (ValueError, RecursionError) as error:  # thousands of brackets exhaust the parser
        raise UserError(f"{path}: {DAMAGED[key]}: {error}") from error
    if value is not None and not isinstance(value, dict):
        raise UserError(f"{path}: {DAMAGED[key]}: that is no mapping")
    return value


def _model_class(config: Mapping[str, Any], where: Path | str) -> type[SRModel] | type[Classifier]:
    target = str(config.get("_target_"))
    package, _, name = target.rpartition(".")
    models = importlib.import_module(PACKAGE)
    if package == PACKAGE and name in models.__all__:
        found = getattr(models, name)
        bases = (SRModel, Classifier)
        if inspect.isclass(found) and issubclass(found, bases) and found not in bases:
            return found
    raise UserError(f"{where} names {target}, which is not a network of {PACKAGE}.")


def _build(config: dict[str, Any], where: str) -> SRModel | Classifier:
    options = {key: value for key, value in config.items() if key != "_target_"}
    found = _model_class(config, where)
    try:
        return found(**options)
    except Exception as error:  # what an option of the wrong kind leads to is up to the network
        raise UserError(
            f"{where}: its options do not fit {found.__name__}: {str(error).rstrip('.')}. It may "
            "come from another version of sr_experiments."
        ) from error


def _sorted_header(data: bytes) -> bytes:
    """The same file with the metadata sorted: safetensors writes it in random order."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors start at a multiple of 8 bytes
    return struct.pack("<Q", len(text)) + text + data[8 + length :]
