"""The network that a stage begins with: fresh, trained before, or from the stage before."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from torch import nn

from sr_experiments.configuration.shipped import shipped
from sr_experiments.configuration.stages import Stage
from sr_experiments.errors import UserError
from sr_experiments.models import SavedModel, SRModel, collapse, read_model
from sr_experiments.models.transfer import transfer
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.training.checkpoint import read_checkpoint
from sr_experiments.training.making import make


@dataclass(frozen=True)
class Start:
    """Where a stage begins.

    Attributes:
        network: In training mode.
        model: The ``model`` node that describes it.
        note: What was taken over from elsewhere, for the terminal.
    """

    network: nn.Module
    model: dict[str, Any]
    note: str | None = None


def begin(stage: Stage, before: SavedModel | None) -> Start:
    """Make the network of a stage.

    Args:
        stage: Which.
        before: What the stage before it left; None for the first one.

    Raises:
        UserError: The options are impossible, or the weights do not fit them.
    """
    start = _fresh(stage) if before is None else _continued(stage, before)
    start.network.train()
    return start


def _fresh(stage: Stage) -> Start:
    network: nn.Module = make(stage.config.model, "model")
    model = stage.resolved["model"]
    if stage.collapse:
        network = collapse(network)
    if stage.config.pretrained:
        return _pretrained(stage, network, model)
    if stage.config.init_from is None:
        return Start(network, model)
    return Start(network, model, start_from(network, Path(stage.config.init_from)))


def _pretrained(stage: Stage, network: nn.Module, model: dict[str, Any]) -> Start:
    """Start from the weights that the package brings.

    They are folded. So is a network that trains as wider blocks, where they fit no other way.

    Raises:
        UserError: There are none of this network and scale, or only with other options.
    """
    if stage.config.init_from is not None:
        raise UserError("pretrained=true and init_from= both say where to start: use one of them")
    name = stage.choices["model"]
    if not isinstance(network, SRModel):
        raise UserError(f"pretrained=true: the package brings no weights of model={name}")
    entry = shipped(name, network.scale, "pretrained=true with model")
    saved = read_model(entry.weights)
    wide = not network.collapsed and set(network.state_dict()) != set(saved.tensors)
    network = collapse(network) if wide else network
    try:
        note = f"pretrained={entry.name}: {transfer(network, saved)}"
    except UserError as error:
        options = " ".join(f"{key}={value}" for key, value in entry.card["options"].items())
        trained_with = options or f"the options of model={name} as they stand"
        raise UserError(
            f"pretrained=true: {entry.name} fits {trained_with} only ({error})"
        ) from error
    return Start(network, model, note + ("\n  it goes on folded" if wide else ""))


def _continued(stage: Stage, before: SavedModel) -> Start:
    """The saved architecture with this stage's ``model.*`` words, and the saved weights."""
    node = OmegaConf.create({"model": dict(before.config)})
    resolved = OmegaConf.create(stage.resolved)
    for key in stage.model_keys:
        OmegaConf.update(node, key, OmegaConf.select(resolved, key))
    if "scale" in before.config:
        node.model.scale = resolved.model.scale
    model = OmegaConf.to_container(node.model)
    assert isinstance(model, dict)
    wanted: dict[str, Any] = {str(key): value for key, value in model.items()}
    note = None
    if wanted.get("scale") == before.config.get("scale"):
        network = replace(before, config=wanted).build()
    else:
        network = replace(before, config=wanted).empty()
        note = str(transfer(network, before))
    if stage.collapse and not network.collapsed:
        network = collapse(network)
    return Start(network, wanted, note)


def start_from(network: nn.Module, source: Path) -> str:
    """Copy trained weights into ``network``.

    Args:
        network: Changed in place.
        source: A run folder or a ``model.safetensors``, also of another scale.

    Returns:
        What was copied and what was not, in words.

    Raises:
        UserError: There is no such file, or it is of another network.
    """
    if not isinstance(network, SRModel):
        raise UserError(f"init_from={source}: {type(network).__name__} cannot start from a file")
    file = source / "model.safetensors" if source.is_dir() else source
    if not file.is_file():
        raise UserError(
            f"init_from={source}: there is no {file}; name a finished run folder or a "
            "model.safetensors"
        )
    refusals = []
    for saved in _candidates(source, read_model(file)):
        try:
            return f"init_from={source}: {transfer(network, saved)}"
        except UserError as error:
            refusals.append(error)
    # Of a run folder the last one: it is of the very layers that trained.
    raise UserError(f"init_from={source}: {refusals[-1]}") from refusals[-1]


def _candidates(source: Path, shipped: SavedModel) -> Iterator[SavedModel]:
    """The shipped weights, and those of a run folder's best network before it was folded."""
    yield shipped
    checkpoint = RunFolder(source).best_checkpoint
    if shipped.collapsed and checkpoint.is_file():
        state = read_checkpoint(checkpoint)["state_dict"]
        for prefix in ("average.module.", "network."):
            tensors = {
                key.removeprefix(prefix): value
                for key, value in state.items()
                if key.startswith(prefix)
            }
            if tensors:
                config, where = shipped.config, str(checkpoint)
                yield SavedModel(config, False, tensors, where, shipped.quantized)
