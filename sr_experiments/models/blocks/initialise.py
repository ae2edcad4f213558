"""How the plain networks start."""

from torch import nn


def initialise(network: nn.Module) -> None:
    """Glorot-normal kernels and zero biases in every convolution, as NJU-Jet's ABPN.

    PyTorch's own random biases leave output channels dead at the clip from the first step
    (``models.health``); without biases a network starts near nothing, or near its anchor.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.xavier_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
