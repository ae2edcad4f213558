"""Several networks of one shape as one: a step of all of them is a step of a batched network.

Small networks leave a large GPU idle. Runs that share an architecture and differ in seed, learning
rate, weight of a loss or order of the data are stacked (``torch.func``): every parameter gains a
dimension in front, forward and backward pass are those of one network mapped over it, and
convolutions become grouped ones. No run sees another: gradients are those of each alone.

On two CPU cores this took twice the time of the runs one after the other.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

from sr_experiments.errors import UserError

Loss = Callable[[Tensor, Tensor], Tensor]


class BatchedNetworks:
    """Networks of one architecture that train together, each on batches of its own.

    Args:
        networks: Of one class and one shape, in training mode; they are copied, and get what was
            trained with `unstack`.
        loss: ``(prediction, high_res)`` to a scalar; what is differentiated is that, times each
            run's weight.
        weights: Of the loss, one per network; None: 1 each.

    Attributes:
        parameters: Stacked, by name: (networks, ...).

    Raises:
        UserError: There are none, they differ in shape, or they keep statistics of batches.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        loss: Loss,
        weights: Sequence[float] | None = None,
    ) -> None:
        if not networks:
            raise UserError("batched training needs at least one network")
        if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in networks[0].modules()):
            raise UserError(
                f"{type(networks[0]).__name__} keeps running means of its batches, which cannot "
                "be batched; train such runs one by one"
            )
        shapes = [_shapes(network) for network in networks]
        if any(shape != shapes[0] for shape in shapes):
            raise UserError("runs that train as one batched network must have one architecture")
        self.networks, self.loss = list(networks), loss
        self.parameters, self.buffers = stack_module_state(self.networks)
        first = next(iter(self.parameters.values()))
        self.weights = torch.ones(len(networks)) if weights is None else torch.tensor(weights)
        self.weights = self.weights.to(first)
        if len(self.weights) != len(networks):
            raise UserError(f"{len(self.weights)} weights of the loss for {len(networks)} networks")
        self._gradients = vmap(grad_and_value(self._value), randomness="different")

    def _value(
        self,
        parameters: Mapping[str, Tensor],
        buffers: Mapping[str, Tensor],
        weight: Tensor,
        low_res: Tensor,
        high_res: Tensor,
    ) -> Tensor:
        values: dict[str, Any] = {**parameters, **buffers}
        prediction = functional_call(self.networks[0], values, (low_res,))
        return weight * self.loss(prediction, high_res)

    def backward(self, low_res: Tensor, high_res: Tensor) -> Tensor:
        """Set the gradient of every stacked parameter.

        Args:
            low_res: (networks, N, 3, H, W) in [0, 1].
            high_res: (networks, N, 3, scale * H, scale * W) in [0, 1].

        Returns:
            (networks,) weighted losses.
        """
        gradients, losses = self._gradients(
            self.parameters, self.buffers, self.weights, low_res, high_res
        )
        for name, parameter in self.parameters.items():
            parameter.grad = gradients[name]
        values: Tensor = losses
        return values.detach()

    @torch.no_grad()
    def unstack(self) -> list[nn.Module]:
        """The networks, with the weights that they have by now."""
        for index, network in enumerate(self.networks):
            for name, parameter in network.named_parameters():
                parameter.copy_(self.parameters[name][index])
        return self.networks


class BatchedAdam:
    """Adam on stacked parameters, with a learning rate for each network.

    The step and its constants are torch's; only the learning rate has as many values as there
    are networks, which torch's own optimisers do not take.

    Args:
        parameters: Stacked: (networks, ...).
        betas: Decay of both moments.
        eps: Added to the root.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        self.parameters = list(parameters)
        self.betas, self.eps = betas, eps
        self.steps = 0
        self.first = [torch.zeros_like(values) for values in self.parameters]
        self.second = [torch.zeros_like(values) for values in self.parameters]

    @torch.no_grad()
    def step(self, rates: Tensor) -> None:
        """Change every parameter.

        Args:
            rates: (networks,) learning rates of this step.
        """
        self.steps += 1
        one, two = self.betas
        sizes = rates / (1 - one**self.steps)
        root = (1 - two**self.steps) ** 0.5
        gradients = [values.grad for values in self.parameters]
        moving = zip(self.parameters, gradients, self.first, self.second, strict=True)
        for values, gradient, first, second in moving:
            assert gradient is not None
            first.lerp_(gradient, 1 - one)
            second.mul_(two).addcmul_(gradient, gradient, value=1 - two)
            denominator = (second.sqrt() / root).add_(self.eps)
            size = sizes.view(-1, *[1] * (values.ndim - 1))
            values.sub_(size * first / denominator)


def _shapes(network: nn.Module) -> tuple[type, dict[str, torch.Size]]:
    return type(network), {name: value.shape for name, value in network.state_dict().items()}
