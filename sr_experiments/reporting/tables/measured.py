"""What a network costs, before anything is trained.

Parameters, operations and receptive field are counted on the meta device, which holds shapes and
no numbers, so a network of any size is counted in milliseconds. File and time need numbers:
seeded random ones do, for neither depends on their values.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from torch.utils.flop_counter import FlopCounterMode

from sr_experiments.deploy.cost import multiply_accumulates
from sr_experiments.deploy.tflite import int8_model
from sr_experiments.errors import UserError
from sr_experiments.models import SRModel, collapse, count_parameters
from sr_experiments.quantization.graph import receptive_radius
from sr_experiments.quantization.modes import PostTraining
from sr_experiments.quantization.trace import UnsupportedOperator, trace
from sr_experiments.reporting.shipping import HEIGHT, WIDTH
from sr_experiments.reporting.tables.byte_model import Band, size_band

LARGE = 1_000_000  # parameters of the network that ships, from which it is counted but not built
LIMITS = ("trainable", "deployable", "batch_independent")
SEED = 1
NOISE = 1e-3  # of a trained network, no two constants are the same bytes
CALIBRATION = (4, 3, 32, 32)


@dataclass(frozen=True)
class Entry:
    """A network of ``conf/model``.

    Attributes:
        name: Its option.
        about: What the comment at the head of its YAML calls it.
        config: Its node, resolved.
    """

    name: str
    about: str
    config: Mapping[str, Any]

    def build(self, device: str = "cpu") -> SRModel:
        """The network with seeded weights; on ``meta`` without any.

        Raises:
            UserError: The network refuses an option, such as the scale.
        """
        torch.manual_seed(SEED)
        try:
            with torch.device(device):
                return cast(SRModel, instantiate(dict(self.config)))
        except InstantiationException as error:
            if isinstance(error.__cause__, UserError):
                raise error.__cause__ from error
            raise


@dataclass(frozen=True)
class Costs:
    """What was counted.

    Attributes:
        training: Parameters of the network that trains.
        parameters: Of the network that ships.
        macs: Multiply-accumulates of one 640x360 frame; None where it cannot be traced.
        field: Side of the square of low-res pixels that an output pixel depends on.
        band: Sizes that other converters give its INT8 file.
        limits: What it is not fit for, and why; empty where there is nothing.
        deployable: Whether the targets can run it.
    """

    training: int
    parameters: int
    macs: int | None = None
    field: int | None = None
    band: Band | None = None
    limits: str = ""
    deployable: bool = True

    @property
    def large(self) -> bool:
        """Whether it is counted only."""
        return self.parameters >= LARGE


def count(entry: Entry) -> Costs:
    """Count a network without building it."""
    network = entry.build("meta")
    unfit = [name for name in LIMITS if not getattr(network, name)]
    limits = f"not {', not '.join(unfit)}: {network.reason}" if unfit else ""
    training = count_parameters(network)
    twin = collapse(network)
    parameters = count_parameters(twin)
    try:
        # Constants of a graph are read while it is made: small networks are built for that.
        graph = trace(twin if parameters >= LARGE else collapse(entry.build()))
    except UnsupportedOperator as error:
        macs = _macs_in_torch(twin)
        return Costs(training, parameters, macs, limits=limits or str(error), deployable=False)
    macs = multiply_accumulates(graph, HEIGHT, WIDTH)
    radius = receptive_radius(graph)
    field = None if radius is None else 2 * radius + 1
    return Costs(training, parameters, macs, field, size_band(graph), limits)


def _macs_in_torch(network: SRModel) -> int:
    """Multiply-accumulates of a network that has no graph, as torch counts them."""
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, HEIGHT, WIDTH, device="meta"))
    return int(counter.get_total_flops()) // 2


def int8_file(entry: Entry) -> bytes:
    """The INT8 file of a network with random weights, as large and as fast as a trained one's.

    Raises:
        UserError: The targets cannot run it.
    """
    network = entry.build()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(NOISE * torch.randn_like(parameter))
    calibration = torch.rand(CALIBRATION)
    return int8_model(PostTraining().quantize(trace(collapse(network)), calibration), HEIGHT, WIDTH)
