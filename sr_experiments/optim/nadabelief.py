"""NadaBelief (Klab_SR at Mobile AI 2022, arXiv:2211.05910, 4.18): Nadam over AdaBelief's moment.

The step looks ahead as Nesterov's momentum does (Dozat, 2016) and is divided by the deviation of
the gradient from its own average (Zhuang et al., 2020, arXiv:2010.07468), not by its size: long
where gradients agree, short where they surprise. Formulas and defaults are those of the entry's
public code, which is Keras' Nadam with one line changed: momentum that rises from half of
``betas[0]``, and ``eps`` outside of the root only. torch and timm have either half, not the two
together (AdaBelief alone is ``optimizer=adabelief``, timm's).
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from sr_experiments.errors import UserError

RISE = 0.96  # per step and unit of momentum_decay, the base that Dozat and Keras fix


class NAdaBelief(Optimizer):
    """Nadam whose second moment is that of the gradient's surprise.

    Args:
        params: Parameters, or dictionaries of parameter groups.
        lr: Learning rate.
        betas: Decay of the average gradient and of its squared deviation.
        eps: Added to the denominator.
        momentum_decay: How fast the momentum rises from ``betas[0] / 2`` to ``betas[0]``; Keras
            calls it ``schedule_decay``.

    Raises:
        UserError: A value is out of its range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-7,
        momentum_decay: float = 0.004,
    ) -> None:
        for name, value in (("lr", lr), ("eps", eps), ("momentum_decay", momentum_decay)):
            if value < 0:
                raise UserError(f"optimizer.{name}={value} must not be below 0")
        if not all(0 <= beta < 1 for beta in betas):
            raise UserError(f"optimizer.betas={list(betas)} must be at least 0 and below 1")
        defaults = {
            "lr": lr,
            "betas": tuple(betas),
            "eps": eps,
            "momentum_decay": momentum_decay,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Change every parameter that has a gradient.

        Args:
            closure: Computes the loss again, with gradients.

        Returns:
            What the closure returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    _update(parameter, self.state[parameter], group)
        return loss


def _update(parameter: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    gradient = parameter.grad
    assert gradient is not None
    if not state:
        state["step"] = 0
        state["momentum_product"] = 1.0
        state["average"] = torch.zeros_like(parameter)
        state["deviation"] = torch.zeros_like(parameter)
    beta1, beta2 = group["betas"]
    state["step"] += 1
    step: int = state["step"]
    now, following = (
        beta1 * (1 - 0.5 * RISE ** (group["momentum_decay"] * at)) for at in (step, step + 1)
    )
    state["momentum_product"] *= now
    product: float = state["momentum_product"]

    average, deviation = state["average"], state["deviation"]
    average.lerp_(gradient, 1 - beta1)
    surprise = gradient - average
    deviation.mul_(beta2).addcmul_(surprise, surprise, value=1 - beta2)
    denominator = (deviation / (1 - beta2**step)).sqrt_().add_(group["eps"])
    ahead = gradient * ((1 - now) / (1 - product))
    ahead.add_(average, alpha=following / (1 - product * following))
    parameter.addcdiv_(ahead, denominator, value=-group["lr"])
