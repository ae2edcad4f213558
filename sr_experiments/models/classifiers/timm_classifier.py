"""Any classifier of timm by name, alone or from ImageNet's weights.

The network is timm's own; in front of it the pictures are normalised as its weights were
trained (``mean`` and ``std`` are those weights', not the data set's), and its last layer is
replaced by one for our classes.
"""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.models.classifiers.base import Classifier

__all__ = ["TimmClassifier"]


class TimmClassifier(Classifier):
    """A network of timm.

    Args:
        classes: See `Classifier`.
        size: See `Classifier`.
        name: One of ``timm.list_models()``.
        pretrained: Start from the hub's weights, which training fetches when it starts.
        weights: Or from a file with timm's key names, ``.safetensors`` or ``.pth``; its last
            layer is left out where it has other classes.
        head_only: Train the last layer only.
        outputs: See `Classifier`.

    Raises:
        UserError: There is no such network, or it refuses the size.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        classes: Sequence[str] = ("no glasses", "glasses"),
        size: int = 32,
        name: str = "resnet18",
        pretrained: bool = False,
        weights: str | None = None,
        head_only: bool = False,
        outputs: int | None = None,
    ) -> None:
        super().__init__(classes, size, outputs)
        if pretrained and weights is not None:
            raise UserError("model.pretrained=true and model.weights exclude each other")
        self.name, self.pretrained, self.weights = name, pretrained, weights
        self.network = _make(name, self.outputs, size)
        config: Mapping[str, Any] = self.network.pretrained_cfg  # type: ignore[assignment]
        self.register_buffer("mean", torch.tensor(config["mean"]).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(config["std"]).view(3, 1, 1))
        if head_only:
            self.network.requires_grad_(False)
            for layer in self._heads().values():
                layer.requires_grad_(True)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (N, outputs), of (N, 3, size, size) in [0, 1]."""
        logits: Tensor = self.network((images - self.mean) / self.std)
        return logits

    def load_pretrained(self) -> None:
        """Read the hub's weights, or the file's.

        Raises:
            UserError: They cannot be had, or are of another network.
        """
        if not self.pretrained and self.weights is None:
            return
        state = self._fetch() if self.pretrained else _read(str(self.weights))
        heads = tuple(f"{name}." for name in self._heads())
        own = self.network.state_dict()
        body = {key for key in own if not key.startswith(heads)}
        wrong = [key for key in body if key not in state or state[key].shape != own[key].shape]
        where = (
            f"model.weights={self.weights}" if self.weights else f"timm's weights of {self.name}"
        )
        if wrong:
            raise UserError(f"{where}: {min(wrong)} of {self.name} is missing or has another shape")
        kept = {key: state[key] for key in body}
        same = {
            key: state[key]
            for key in own.keys() - body
            if key in state and state[key].shape == own[key].shape
        }
        self.network.load_state_dict(own | kept | same)

    def described(self, options: dict[str, object]) -> dict[str, object]:
        """See `Classifier`."""
        return {**options, "pretrained": False, "weights": None}

    def _heads(self) -> dict[str, nn.Module]:
        names = self.network.pretrained_cfg["classifier"]  # type: ignore[index]
        listed = [names] if isinstance(names, str) else list(names)
        return {str(name): self.network.get_submodule(str(name)) for name in listed}

    def _fetch(self) -> Mapping[str, Tensor]:
        import timm

        try:
            fetched: nn.Module = timm.create_model(self.name, pretrained=True)
        except Exception as error:  # whatever the hub's client and the network raise
            raise UserError(
                f"model.pretrained=true: the weights of {self.name} cannot be fetched ({error}); "
                "name a file with model.weights=..., or train without"
            ) from error
        return fetched.state_dict()


def _make(name: str, outputs: int, size: int) -> nn.Module:
    import timm

    if not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise UserError(f"model.name={name} is no network of timm{hint}")
    try:
        made: nn.Module = timm.create_model(name, num_classes=outputs)
        with torch.no_grad():
            made.eval()(torch.zeros(1, 3, size, size))
        return made.train()
    except (RuntimeError, AssertionError, ValueError, TypeError):
        pass
    try:  # transformers are built for one size
        made = timm.create_model(name, num_classes=outputs, img_size=size)
    except (RuntimeError, AssertionError, ValueError, TypeError) as error:
        raise UserError(
            f"model.name={name} takes no pictures of {size} pixels ({error}); change data.size"
        ) from error
    return made


def _read(weights: str) -> Mapping[str, Tensor]:
    path = Path(weights).expanduser()
    if not path.is_file():
        raise UserError(f"model.weights={path}: there is no such file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise a dozen kinds
        raise UserError(f"model.weights={path} cannot be read: {error}") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else None
    if not isinstance(state, dict):
        raise UserError(f"model.weights={path} holds no weights by name")
    return state
