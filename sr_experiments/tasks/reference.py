"""The FP32 network that quantisation-aware training is compared with.

Trained weights run without quantisation are no reference: the training has moved them away from
what is best in floating point, so the drop would look smaller than it is. It is the network that
the training started from, or, where that was untrained, a twin that trains beside it in floating
point for as many steps, on the same batches and with the same schedule.
"""

import copy
from pathlib import Path

import torch
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.models import SRModel, collapse, load_model
from sr_experiments.optim import ExponentialMovingAverage

AUTO, TWIN = "auto", "twin"
START, STAGE = "start", "stage"


class Reference(nn.Module):
    """A network in floating point that stays as it is, or trains as a twin.

    Args:
        network: Compared with; a copy of it is kept.
        origin: ``start``, ``twin``, ``stage``, or where the network was read from.
        ema_decay: Of the average of a twin's weights; None ships the weights themselves.

    Attributes:
        trains: Whether it is a twin.
    """

    def __init__(self, network: SRModel, origin: str, ema_decay: float | None = None) -> None:
        super().__init__()
        self.origin = origin
        self.trains = origin == TWIN
        self.network = copy.deepcopy(network) if self.trains else collapse(network)
        self.network.requires_grad_(self.trains)
        self.average = None
        if self.trains and ema_decay is not None:
            self.average = ExponentialMovingAverage(self.network, ema_decay)

    @classmethod
    def of(cls, choice: str | SRModel, network: SRModel, ema_decay: float | None) -> "Reference":
        """The reference that an option names.

        Args:
            choice: ``auto``, ``twin``, a run folder or safetensors file, or a network.
            network: That training starts from.
            ema_decay: Of the training.

        Raises:
            UserError: There is no such file, or it is of another network, or training starts
                from a network that was trained on the INT8 grid itself.
        """
        if isinstance(choice, SRModel):
            return cls(_same(choice, network, "an earlier stage"), STAGE)
        if choice == AUTO and network.quantized:
            raise UserError(
                "the network that training starts from has had quantisation-aware training, so "
                "it is no FP32 network to compare with: name one with "
                "quantization.reference=<run folder or earlier stage>"
            )
        if choice == AUTO:
            choice = TWIN if network.fresh else START
        if choice in (TWIN, START):
            return cls(network, choice, ema_decay)
        return cls(_read(Path(choice).expanduser(), network), choice)

    @property
    def shipped(self) -> SRModel:
        """The network, or the average of its weights where one is kept."""
        found = self.network if self.average is None else self.average.module
        assert isinstance(found, SRModel)
        return found

    def train(self, mode: bool = True) -> "Reference":
        """What does not train stays in evaluation mode."""
        return super().train(mode and self.trains)

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge with the network itself, not the average."""
        with torch.autocast(low_res.device.type, enabled=False):  # FP32 is what it stands for
            prediction: Tensor = self.network(low_res)
        return prediction

    def after_step(self) -> None:
        """Do for a twin what the trained network has done for it after each step."""
        if self.trains:
            self.network.after_step()
        if self.average is not None:
            self.average.update_parameters(self.network)

    @property
    def words(self) -> str:
        """What it is, for people."""
        if self.origin == TWIN:
            return "FP32 twin trained beside it on the same batches"
        if self.origin == START:
            return "FP32 network that the training started from"
        if self.origin == STAGE:
            return "FP32 network of an earlier stage"
        return f"FP32 network of {self.origin}"


def _read(source: Path, network: SRModel) -> SRModel:
    file = source / "model.safetensors" if source.is_dir() else source
    if not file.is_file():
        raise UserError(
            f"quantization.reference={source}: there is no {file}; name a finished run folder, a "
            "model.safetensors, an earlier stage, auto or twin"
        )
    return _same(load_model(file), network, str(source))


def _same(given: SRModel, network: SRModel, where: str) -> SRModel:
    """The folded network, if it is of the kind that trains."""
    given, own = collapse(given), collapse(network)
    shapes = [{key: value.shape for key, value in m.state_dict().items()} for m in (given, own)]
    if type(given) is not type(own) or shapes[0] != shapes[1] or given.scale != own.scale:
        raise UserError(
            f"quantization.reference: {where} holds another network than the one that trains"
        )
    if given.quantized:
        raise UserError(
            f"quantization.reference: {where} has had quantisation-aware training; name a "
            "network trained in floating point"
        )
    return given
