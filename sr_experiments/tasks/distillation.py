"""Knowledge distillation: a trained network, usually a larger one, shows what it would have made.

The prediction is compared with the teacher's as with the original picture, by any loss. No
features are compared: the networks of the zoo differ in width, depth and scale of their features,
and a picture is what they all make.

The teacher is no part of the task: not in its state dict, so neither in a checkpoint nor in the
optimiser, and never in training mode.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.models import SRModel, load_model

FILE = "model.safetensors"
OPTIONS = ("weight", "loss")


class Distillation:
    """``weight`` times the distance from what the teacher makes of the batch.

    Args:
        teacher: A trained network; it is frozen.
        loss: ``(prediction, target)`` to a scalar, or to named terms, which are summed.
        weight: Of the term, beside the loss against the original.

    Raises:
        UserError: The weight is not positive.
    """

    def __init__(self, teacher: SRModel, loss: nn.Module, weight: float) -> None:
        if not weight > 0:
            raise UserError(
                f"task.distillation.weight={weight} is not above 0; task.teacher=null trains "
                "without a teacher"
            )
        self.teacher = teacher.eval().requires_grad_(False)
        self.loss = loss
        self.weight = weight

    def term(self, low_res: Tensor, prediction: Tensor) -> Tensor:
        """The term of a batch.

        Args:
            low_res: (N, 3, H, W) in [0, 1].
            prediction: (N, 3, scale * H, scale * W), of the network that trains.
        """
        self.teacher.to(low_res.device)
        self.loss.to(low_res.device)
        with torch.no_grad():
            target = self.teacher(low_res)
        needs_low_res = getattr(self.loss, "needs_low_res", False)
        inputs = (prediction, target, low_res) if needs_low_res else (prediction, target)
        value = self.loss(*inputs)
        if isinstance(value, Mapping):
            value = torch.stack(list(value.values())).sum()
        term: Tensor = self.weight * value
        return term


def load_teacher(source: str | Path) -> SRModel:
    """The teacher in a run folder or a ``model.safetensors``.

    Raises:
        UserError: There is none.
    """
    path = Path(str(source)).expanduser()
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise UserError(
            f"task.teacher={source}: there is no {file}; name a run folder, a {FILE} or an "
            "earlier stage"
        )
    return load_model(file)


def learn_from(
    teacher: str | Path | SRModel | None, options: Mapping[str, Any] | None, scale: int
) -> Distillation | None:
    """What ``task.teacher`` and ``task.distillation`` ask for; None without a teacher.

    Args:
        teacher: A network, or where one is.
        options: ``weight`` and ``loss``, see `Distillation`.
        scale: That of the network to teach.

    Raises:
        UserError: It is not there or enlarges by another factor, or an option is wrong.
    """
    if teacher is None:
        return None
    missing = [name for name in OPTIONS if name not in (options or {})]
    if missing:
        raise UserError(f"task.teacher needs task.distillation.{missing[0]}")
    network = teacher if isinstance(teacher, SRModel) else load_teacher(teacher)
    if network.scale != scale:
        named = type(network).__name__ if isinstance(teacher, SRModel) else teacher
        raise UserError(f"task.teacher={named} enlarges x{network.scale}, and this run x{scale}")
    return Distillation(network, **dict(options or {}))
