"""Trained classifiers whose hidden layers judge pictures: any of torchvision's or timm's.

A trunk is traced by torch.fx (by torchvision's tool, so the layer names are those of either
library's modules) and cut behind the deepest layer that is asked for. VGG's layers also go by
the names that papers use, such as ``conv5_4`` and ``relu5_4``. Operations that overwrite their
input are replaced: otherwise a tap before an activation would show what lies behind it.
"""

import difflib
import operator
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.overrides import TorchFunctionMode

from sr_experiments.errors import UserError

__all__ = ["Pixel", "Trunk", "load_trunk", "pixel"]

HUB = "DEFAULT"  # torchvision's word for the best weights of an architecture
FILES = (".pth", ".pt", ".bin", ".safetensors")
OUT_OF_PLACE = {operator.iadd: operator.add, operator.imul: operator.mul}

Pixel = tuple[float, float, float]


class Trunk(nn.Module):
    """A frozen classifier up to some layers, behind the normalisation its weights are used to.

    Args:
        graph: From images to the layers' outputs by name.
        names: Of the layers.
        mean: Subtracted from each colour of images in [0, 1].
        std: Each colour is divided by it afterwards.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, graph: nn.Module, names: list[str], mean: Pixel, std: Pixel) -> None:
        super().__init__()
        self.graph, self.names = graph, names
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1))
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: Tensor) -> list[Tensor]:
        """The layers of (N, 3, H, W) in [0, 1], each (N, C, h, w), in the order asked for."""
        outputs = self.graph((images - self.mean) / self.std)
        return [outputs[name] for name in self.names]


def load_trunk(
    trunk: str,
    layers: Sequence[str],
    weights: str,
    normalization: tuple[Pixel, Pixel] | None = None,
) -> Trunk:
    """Build a trunk and read its weights, from a file or from the library's hub.

    Args:
        trunk: ``torchvision/<name>`` or ``timm/<name>``.
        layers: Names of modules (``features.18``), or VGG's ``conv1_1`` to ``relu5_4``.
        weights: A file with the library's key names; ``DEFAULT`` for the hub's; or the name of
            one of torchvision's others (``IMAGENET1K_V1``). timm's are chosen in the trunk's
            name (``timm/vgg19.tv_in1k``).
        normalization: Mean and standard deviation of the input's colours; None is what the
            hub's weights were trained with.

    Raises:
        UserError: There is no such trunk, layer or weights, or the weights cannot be had.
    """
    library, _, name = trunk.partition("/")
    if library not in ("torchvision", "timm") or not name:
        raise UserError(
            f"trunk={trunk}: write torchvision/<name> or timm/<name>, such as torchvision/vgg19"
        )
    file = Path(weights).expanduser() if weights.endswith(FILES) else None
    which = HUB if file else weights
    source = _torchvision(name, which) if library == "torchvision" else _timm(name, which)
    model = _skeleton(source.make)
    names = _module_names(model, trunk, layers)
    graph = _cut(model, trunk, names)
    state = _read(file, trunk, source) if file else _download(source)
    _fill(model, graph, state, trunk, str(file or source.address))
    mean, std = normalization or (source.mean, source.std)
    return Trunk(graph, names, mean, std)


@dataclass(frozen=True)
class _Source:
    """A network and the weights that its library offers for it.

    Attributes:
        make: Builds the whole network.
        fetch: Reads its weights from the hub, or from the hub's folder of downloads.
        address: Where the hub has them.
        folder: Where the hub keeps them.
        mean: Of the input's colours, that the weights were trained with.
        std: As ``mean``.
    """

    make: Callable[[], nn.Module]
    fetch: Callable[[], Mapping[str, Any]]
    address: str
    folder: str
    mean: Pixel
    std: Pixel


def _torchvision(name: str, weights: str) -> _Source:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise UserError(f"trunk: torchvision has no classifier {name}{_meant(name, known)}")
    choices = models.get_model_weights(name)
    if weights not in choices.__members__:
        raise UserError(
            f"weights={weights}: torchvision has {', '.join([HUB, *(w.name for w in choices)])} "
            f"of {name}; or name a file that ends with one of {' '.join(FILES)}"
        )
    chosen = choices[weights]
    preset = chosen.transforms()
    return _Source(
        make=lambda: models.get_model(name),
        fetch=lambda: chosen.get_state_dict(
            progress=True, check_hash=True, weights_only=True, map_location="cpu"
        ),
        address=chosen.url,
        folder=str(Path(torch.hub.get_dir()) / "checkpoints"),
        mean=pixel(preset.mean),
        std=pixel(preset.std),
    )


def _timm(name: str, weights: str) -> _Source:
    import timm
    from huggingface_hub.constants import HF_HUB_CACHE
    from timm.models import get_pretrained_cfg

    if weights != HUB:
        raise UserError(
            f"weights={weights}: timm's are chosen in the trunk's name (timm/{name}.<tag>) with "
            f"weights={HUB}; or name a file that ends with one of {' '.join(FILES)}"
        )
    config = get_pretrained_cfg(name)
    if config is None:
        known = [*timm.list_models(), *timm.list_pretrained()]
        raise UserError(f"trunk: timm has no {name}{_meant(name, known)}")

    def fetch() -> Mapping[str, Any]:
        return _skeleton(lambda: timm.create_model(name, pretrained=True)).state_dict()

    return _Source(
        make=lambda: timm.create_model(name),
        fetch=fetch,
        address=f"https://huggingface.co/{config.hf_hub_id}"
        if config.hf_hub_id
        else str(config.url),
        folder=str(HF_HUB_CACHE),
        mean=pixel(config.mean),
        std=pixel(config.std),
    )


class _Undrawn(TorchFunctionMode):
    """Leaves out the random initialisation, which takes VGG 2 of its 2.1 seconds."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Skip whatever lives in ``torch.nn.init``; see `TorchFunctionMode`."""
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def _skeleton(make: Callable[[], nn.Module]) -> nn.Module:
    """A network whose weights come later; the random numbers of the training are not touched."""
    with torch.random.fork_rng(devices=[]), _Undrawn():
        return make().eval()


def _download(source: _Source) -> Mapping[str, Any]:
    try:
        return source.fetch()
    except Exception as error:  # each library raises its own kinds: network, disk, checksum
        raise UserError(
            f"the weights at {source.address} are not in {source.folder} and could not be "
            f"downloaded ({error}); fetch them on another machine and name the file with "
            "weights=<file>"
        ) from error


def _read(file: Path, trunk: str, source: _Source) -> Mapping[str, Any]:
    if not file.is_file():
        raise UserError(
            f"weights={file}: there is no such file; it should hold the weights of {trunk}, as "
            f"{source.address} does. weights={HUB} downloads that"
        )
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle, zip and safetensors raise their own kinds
        raise UserError(f"weights={file} cannot be read as weights: {error}") from error
    if not isinstance(state, Mapping):
        raise UserError(f"weights={file} holds a {type(state).__name__}, not weights by name")
    return state


def _fill(
    model: nn.Module, graph: nn.Module, state: Mapping[str, Any], trunk: str, origin: str
) -> None:
    """Copy weights into a trunk, all that it has; those of layers that were cut off are left."""
    traced = graph.state_dict()  # with constants of the trace, which are in no file
    for name, value in ((name, traced[name]) for name in model.state_dict() if name in traced):
        found = state.get(name)
        if name.endswith("num_batches_tracked"):
            value.zero_()  # of no use to a frozen network, and not in older files
        elif not isinstance(found, Tensor):
            raise UserError(
                f"{origin} has no weights called {name}, which {trunk} needs; it begins with "
                f"{', '.join(list(state)[:3])}. Name the trunk that the file is of"
            )
        elif found.shape != value.shape:
            raise UserError(
                f"{origin}: {name} is {tuple(found.shape)}, and {tuple(value.shape)} in {trunk}"
            )
        else:
            value.copy_(found)


def _module_names(model: nn.Module, trunk: str, layers: Sequence[str]) -> list[str]:
    named = _vgg_names(model)
    known = {*named, *(name for name, _ in model.named_modules() if name)}
    for layer in layers:
        if layer not in known:
            examples = _meant(layer, known) or f"; it has {', '.join(sorted(known)[:8])}, ..."
            raise UserError(f"layers: {trunk} has no {layer}{examples}")
    names = [named.get(layer, layer) for layer in layers]
    if len(set(names)) < len(names):
        raise UserError(f"layers={list(layers)} names a layer twice")
    return names


def _cut(model: nn.Module, trunk: str, names: list[str]) -> fx.GraphModule:
    """The network up to some modules, with no operation that overwrites its input."""
    from timm.layers import create_feature_extractor  # type: ignore[attr-defined]

    try:
        with warnings.catch_warnings():
            # torchvision also traces training mode, and tells where it differs.
            warnings.simplefilter("ignore", UserWarning)
            graph: fx.GraphModule = create_feature_extractor(model, names)
    except Exception as error:  # torch.fx raises many kinds where Python decides on values
        raise UserError(f"layers: {trunk} cannot be cut behind {names}: {error}") from error
    for module in graph.modules():
        if getattr(module, "inplace", False):
            module.inplace = False  # type: ignore[assignment]
    for node in graph.graph.nodes:
        node.target = OUT_OF_PLACE.get(node.target, node.target)
        if "inplace" in node.kwargs:
            node.update_kwarg("inplace", False)
    graph.recompile()
    return graph


def _vgg_names(model: nn.Module) -> dict[str, str]:
    """``conv5_4`` and the like to the names of modules; empty for what is no VGG."""
    kinds = {nn.Conv2d: "conv", nn.BatchNorm2d: "bn", nn.ReLU: "relu"}
    names: dict[str, str] = {}
    features = getattr(model, "features", None)
    if type(model).__name__ != "VGG" or not isinstance(features, nn.Sequential):
        return names
    block, layer = 1, 0
    for index, module in enumerate(features):
        if isinstance(module, nn.MaxPool2d):
            names[f"pool{block}"] = f"features.{index}"
            block, layer = block + 1, 0
        else:
            layer += isinstance(module, nn.Conv2d)
            names[f"{kinds[type(module)]}{block}_{layer}"] = f"features.{index}"
    return names


def _meant(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=4, cutoff=0.5)
    return f"; did you mean {', '.join(close)}?" if close else ""


def pixel(values: Iterable[float]) -> Pixel:
    """Three numbers, one for each colour."""
    red, green, blue = values
    return float(red), float(green), float(blue)
