"""Hidden layers of a trained classifier as a space to compare pictures in.

The classifier belongs to the loss, not to what is trained: it is neither in the state dict nor
among the parameters, so no checkpoint keeps it and no optimiser sees it. It is read when first
used, since a constructor opens no files, and follows `Module.to` like any other part.
"""

from collections.abc import Callable, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.losses.trunks import Pixel, Trunk, load_trunk, pixel

AS_IT_IS: tuple[Pixel, Pixel] = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


class FeatureExtractor(nn.Module):
    """Layers of a frozen classifier.

    Args:
        trunk: ``torchvision/<name>`` or ``timm/<name>``.
        layers: What to look at: names of modules, or VGG's ``conv1_1`` to ``relu5_4``; a
            ``conv`` is before its activation.
        weights: A file with the library's key names, ``DEFAULT`` for the hub's, or the name of
            one of torchvision's others; see `load_trunk`.
        normalize: Subtract ``mean`` and divide by ``std``; False gives the trunk images in [0, 1].
        mean: Of red, green and blue; None is what the hub's weights were trained with. It
            belongs to the weights, so a file that was trained otherwise needs its own.
        std: As ``mean``.

    Raises:
        UserError: There are no layers, or mean and std are incomplete.
    """

    _place: Tensor

    def __init__(
        self,
        trunk: str,
        layers: Sequence[str],
        weights: str = "DEFAULT",
        normalize: bool = True,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        if not layers:
            raise UserError("layers=[]: name at least one layer of the trunk")
        self.trunk, self.layers, self.weights = trunk, list(layers), str(weights)
        self.normalization = _normalization(normalize, mean, std)
        self._trunk: list[Trunk] = []  # a list, so that it is no submodule
        self.register_buffer("_place", torch.empty(0), persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Look at images.

        Args:
            images: (N, 3, H, W) in [0, 1].

        Returns:
            One (N, C, h, w) per layer; gradients pass to the images.

        Raises:
            UserError: The trunk or its weights cannot be had (on the first call).
        """
        if not self._trunk:
            loaded = load_trunk(self.trunk, self.layers, self.weights, self.normalization)
            self._trunk.append(loaded.to(self._place))  # where the module was sent meanwhile
        seen: list[Tensor] = self._trunk[0](images)
        return seen

    def pair(self, prediction: Tensor, target: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Look at two batches; gradients pass to the first only.

        The target goes through by itself: on a CPU that is twice as fast as one pass of both,
        because nothing of it is kept and nothing goes back through it.
        """
        with torch.no_grad():
            wanted = self(target)
        return list(zip(self(prediction), wanted, strict=True))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        for trunk in self._trunk:
            trunk._apply(fn)  # type: ignore[no-untyped-call]
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call, no-any-return]


def one_per_layer(layers: Sequence[str], weights: Sequence[float] | None) -> list[float]:
    """One weight for each layer; None is 1 each.

    Raises:
        UserError: Their numbers differ.
    """
    if weights is None:
        return [1.0] * len(layers)
    if len(weights) != len(layers):
        raise UserError(
            f"layer_weights has {len(weights)} values for {len(layers)} layers: give one each, "
            "or null for 1 each"
        )
    return [float(weight) for weight in weights]


def _normalization(
    normalize: bool, mean: Sequence[float] | None, std: Sequence[float] | None
) -> tuple[Pixel, Pixel] | None:
    if mean is None and std is None:
        return None if normalize else AS_IT_IS
    if not normalize:
        raise UserError(f"normalize=false leaves no use for mean={mean} and std={std}")
    for name, value in (("mean", mean), ("std", std)):
        if value is None or len(value) != 3:
            raise UserError(f"{name}={value} must be three numbers, and so must the other")
    assert mean is not None
    assert std is not None
    if not min(std) > 0:
        raise UserError(f"std={list(std)} must be above 0")
    return pixel(mean), pixel(std)
