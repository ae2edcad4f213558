"""From the network that trained to the one that ships."""

from collections import Counter
from copy import deepcopy
from typing import TypeVar

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sr_experiments.models.blocks import LEAF_MODULES, Collapsible

Model = TypeVar("Model", bound=nn.Module)


def collapse(model: Model) -> Model:
    """A copy in evaluation mode with training-time structure folded away, equal in output.

    Collapsible blocks become plain convolutions, and a batch norm whose input comes from a
    convolution alone is folded into it. The model itself is left as it is.
    """
    twin = deepcopy(model).eval()
    _collapse_blocks(twin)
    if any(isinstance(module, nn.BatchNorm2d) for module in twin.modules()):
        _fold_batch_norms(twin)
    twin.collapsed = True  # type: ignore[assignment]
    return twin


def _collapse_blocks(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, Collapsible):
            setattr(module, name, child.collapse().eval())
        else:
            _collapse_blocks(child)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, qualified_name: str) -> bool:
        return isinstance(module, LEAF_MODULES) or super().is_leaf_module(module, qualified_name)


def _fold_batch_norms(model: nn.Module) -> None:
    """Fold in place, wherever the wiring (not the order of attributes) allows it."""
    graph = _Tracer().trace(model)
    modules = dict(model.named_modules())
    calls = Counter(id(modules[node.target]) for node in graph.nodes if node.op == "call_module")
    for node in graph.nodes:
        if node.op != "call_module" or not isinstance(modules[node.target], nn.BatchNorm2d):
            continue
        source = node.args[0]
        if source.op != "call_module" or len(source.users) > 1:
            continue
        norm, conv = modules[node.target], modules[source.target]
        if isinstance(conv, nn.Conv2d) and calls[id(norm)] == calls[id(conv)] == 1:
            model.set_submodule(source.target, fuse_conv_bn_eval(conv, norm))
            model.set_submodule(node.target, nn.Identity())
