"""Several networks of one shape as one: a step of all of them is a step of a batched network.

Small networks leave a large GPU idle. Runs that share an architecture and differ in seed, learning
rate, loss or order of the data are stacked (``torch.func``): every parameter gains a dimension in
front, the forward pass is that of one network mapped over it, and convolutions become grouped
ones. Each run's loss sees its own prediction alone, and no run sees another: gradients are those
of each alone.

All parameters of all runs lie in one vector, name by name and in each name run by run. So each
stacked parameter is a view of it, and Adam is a handful of operations, however many runs there are.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.optim import Adam, Optimizer

from sr_experiments.errors import UserError


class BatchedNetworks:
    """Networks of one architecture that train together, each on batches of its own.

    Args:
        networks: Of one class and one shape, in training mode; they are copied, and get what was
            trained with `unstack`.

    Attributes:
        vector: All trained parameters, (all their elements).
        parameters: Views of it by name, (networks, ...).
        owner: Index of the network that each element of ``vector`` is of.

    Raises:
        UserError: There are none, they differ in shape, or they cannot be batched.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        if not networks:
            raise UserError("batched training needs at least one network")
        check_batches(networks[0])
        shapes = [_shapes(network) for network in networks]
        if any(shape != shapes[0] for shape in shapes):
            raise UserError("runs that train as one batched network must have one architecture")
        self.networks, count = list(networks), len(networks)
        self._trained = [
            {name: values for name, values in network.named_parameters() if values.requires_grad}
            for network in networks
        ]
        stacked, buffers = stack_module_state(self.networks)
        names = list(self._trained[0])
        fixed = {name: values.detach() for name, values in stacked.items() if name not in names}
        self._fixed: dict[str, Any] = fixed | buffers
        sizes = [values.numel() for values in self._trained[0].values()]
        first = next(iter(self._trained[0].values()))
        self.vector = torch.empty(count * sum(sizes), dtype=first.dtype, device=first.device)
        ends = accumulate(count * size for size in sizes)
        self.parameters = {
            name: self.vector[end - count * size : end]
            .view(count, *self._trained[0][name].shape)
            .detach()
            .requires_grad_()
            for name, size, end in zip(names, sizes, ends, strict=True)
        }
        self.owner = torch.cat([torch.arange(count).repeat_interleave(size) for size in sizes]).to(
            first.device
        )
        self.stack()

    def __len__(self) -> int:
        return len(self.networks)

    @property
    def names(self) -> list[str]:
        """Of the trained parameters, in the order of ``vector``."""
        return list(self.parameters)

    @torch.no_grad()
    def stack(self) -> None:
        """Take over the weights that the networks have by now."""
        torch._foreach_copy_(self._views(), self._own())

    @torch.no_grad()
    def unstack(self) -> list[nn.Module]:
        """The networks, with the weights that were trained."""
        torch._foreach_copy_(self._own(), self._views())
        return self.networks

    def _views(self) -> list[Tensor]:
        return [one for values in self.parameters.values() for one in values.detach().unbind()]

    def _own(self) -> list[Tensor]:
        return [trained[name] for name in self.names for trained in self._trained]

    def predict(self, low_res: Tensor) -> Tensor:
        """What each network makes of its batch.

        Args:
            low_res: (networks, N, 3, H, W) in [0, 1].

        Returns:
            (networks, N, 3, scale * H, scale * W).
        """

        def one(parameters: dict[str, Tensor], fixed: dict[str, Any], batch: Tensor) -> Tensor:
            values: Tensor = functional_call(self.networks[0], {**parameters, **fixed}, (batch,))
            return values

        prediction: Tensor = vmap(one)(self.parameters, self._fixed, low_res)
        return prediction

    def gradient(self, losses: Sequence[Tensor], *, own: bool = False) -> Tensor:
        """Gradient of each network's loss, as ``vector`` lies.

        Args:
            losses: Of each network's prediction, a scalar each.
            own: Whether they are also functions of the networks' own parameters.
        """
        total, stacked = torch.stack(list(losses)).sum(), list(self.parameters.values())
        inputs = stacked + (self._own() if own else [])
        with torch.autocast(total.device.type, enabled=False):
            parts = torch.autograd.grad(total, inputs, materialize_grads=True)
        # Autocast keeps the weights it has cast until it ends, which may be after many steps.
        torch.clear_autocast_cache()
        vector = torch.cat([part.reshape(-1) for part in parts])
        return vector.view(1 + own, -1).sum(0) if own else vector

    def split(self, vector: Tensor) -> list[dict[str, Tensor]]:
        """What lies as ``vector`` does, by network and name; views."""
        count, place = len(self), 0
        runs: list[dict[str, Tensor]] = [{} for _ in self.networks]
        for name, values in self.parameters.items():
            part = vector[place : place + values.numel()].view(values.shape)
            place += values.numel()
            for index in range(count):
                runs[index][name] = part[index]
        return runs


class BatchedAdam:
    """torch's Adam or AdamW on stacked networks, each with its own learning rates and steps.

    Args:
        networks: What trains.
        optimizers: Of each alone, of one kind and with the same options but the learning rate;
            they get their moments with `unstack`, as if they had taken the steps themselves.

    Raises:
        UserError: They are not of one kind, or of one that is not batched.
    """

    def __init__(self, networks: BatchedNetworks, optimizers: Sequence[Optimizer]) -> None:
        options = [check_optimizer(optimizer) for optimizer in optimizers]
        if any(option != options[0] for option in options):
            raise UserError("optimisers of one batched network differ in the learning rate only")
        self.networks, self.optimizers = networks, list(optimizers)
        group = optimizers[0].param_groups[0]
        self.betas, self.eps = group["betas"], group["eps"]
        self.decoupled = bool(group["decoupled_weight_decay"])
        self.groups = len(optimizers[0].param_groups)
        vector = networks.vector
        self.first, self.second = torch.zeros_like(vector), torch.zeros_like(vector)
        named = networks._trained[0]
        group_of = {
            id(values): place
            for place, group in enumerate(optimizers[0].param_groups)
            for values in group["params"]
        }
        sizes = [values.numel() for values in named.values()]
        places = torch.tensor([group_of[id(named[name])] for name in networks.names])
        place = places.repeat_interleave(torch.tensor(sizes) * len(networks)).to(vector.device)
        self.place = networks.owner * self.groups + place  # of each element's rate
        self.decays = bool(self._decay().any())
        self.stack()

    def _decay(self) -> Tensor:
        return torch.tensor(
            [
                [group["weight_decay"] for group in optimizer.param_groups]
                for optimizer in self.optimizers
            ],
            dtype=torch.float64,
        )

    @torch.no_grad()
    def stack(self) -> None:
        """Take over the moments that the optimisers have by now."""
        for key, vector in (("exp_avg", self.first), ("exp_avg_sq", self.second)):
            own = self._own(key)
            views = [part[name] for part in self.networks.split(vector) for name in part]
            torch._foreach_copy_(views, own)

    @torch.no_grad()
    def unstack(self, steps: int) -> None:
        """Hand the moments to the optimisers.

        Args:
            steps: That were taken since `stack`.
        """
        for key, vector in (("exp_avg", self.first), ("exp_avg_sq", self.second)):
            views = [part[name] for part in self.networks.split(vector) for name in part]
            torch._foreach_copy_(self._own(key), views)
        for state in self._states():
            state["step"] += steps

    def _states(self) -> list[dict[str, Tensor]]:
        """Of every parameter, run by run; made as Adam makes them where there are none."""
        states = []
        for trained, optimizer in zip(self.networks._trained, self.optimizers, strict=True):
            for values in trained.values():
                state = optimizer.state[values]
                if not state:
                    state["step"] = torch.tensor(0.0)
                    for key in ("exp_avg", "exp_avg_sq"):
                        state[key] = torch.zeros_like(
                            values, memory_format=torch.preserve_format
                        ).detach()
                states.append(state)
        return states

    def _own(self, key: str) -> list[Tensor]:
        return [state[key] for state in self._states()]

    def done(self) -> list[float]:
        """Steps that each network has taken."""
        per_run = len(self.networks.names)
        return [float(state["step"]) for state in self._states()[::per_run]]

    def tables(self, rates: Tensor) -> Tensor:
        """What `step` needs of the next steps: it depends on neither weights nor gradients.

        Args:
            rates: (steps, networks, groups) learning rates, in double precision.

        Returns:
            (steps, 3, networks, groups) in single precision: length of a step, root that corrects
            the second moment, and share of the weights that decays.
        """
        steps = torch.arange(1, len(rates) + 1).view(-1, 1, 1)
        number = torch.tensor(self.done(), dtype=torch.float64).view(1, -1, 1) + steps
        one, two = self.betas
        decay = self._decay()
        return torch.stack(
            [
                rates / (1 - one**number),
                (1 - two**number).sqrt().expand_as(rates),
                rates * decay if self.decoupled else decay.expand_as(rates),
            ],
            dim=1,
        ).float()

    @torch.no_grad()
    def step(self, gradient: Tensor, table: Tensor) -> None:
        """Change every parameter.

        Args:
            gradient: As the networks' vector lies.
            table: (3, networks, groups), this step's of `tables`, on the device.
        """
        vector = self.networks.vector
        sizes, roots, decays = table.flatten(1)[:, self.place]
        if self.decays and self.decoupled:
            vector.mul_(1 - decays)
        elif self.decays:
            gradient = gradient + decays * vector
        one, two = self.betas
        self.first.lerp_(gradient, 1 - one)
        self.second.mul_(two).addcmul_(gradient, gradient, value=1 - two)
        denominator = (self.second.sqrt() / roots).add_(self.eps)
        vector.sub_(sizes * self.first / denominator)


def clipped(networks: BatchedNetworks, gradient: Tensor, norm: float) -> Tensor:
    """Each network's gradient, its norm at most ``norm``, as ``clip_grad_norm_`` does alone."""
    squares = torch.zeros(len(networks), device=gradient.device)
    norms = squares.index_add_(0, networks.owner, gradient.square()).sqrt()
    return gradient * (norm / (norms + 1e-6)).clamp(max=1.0)[networks.owner]


def check_batches(network: nn.Module) -> None:
    """Refuse a network that is not a function of its weights and its batch.

    Raises:
        UserError: Naming what it has.
    """
    reasons = {
        "keeps running means of its batches": nn.modules.batchnorm._BatchNorm,
        "drops signals at random": nn.modules.dropout._DropoutNd,
    }
    for reason, kind in reasons.items():
        if any(isinstance(part, kind) for part in network.modules()):
            raise UserError(
                f"{type(network).__name__} {reason}, which cannot be batched; train such runs one "
                "by one"
            )


def check_optimizer(optimizer: Optimizer) -> list[Any]:
    """Options of an optimiser that runs of one batched network share.

    Raises:
        UserError: It is none that is batched.
    """
    groups = optimizer.param_groups
    known = isinstance(optimizer, Adam) and type(optimizer).__module__.startswith("torch.")
    if not known or any(group["amsgrad"] or group["maximize"] for group in groups):
        raise UserError(
            f"blocks of steps of several runs are batched for torch's Adam and AdamW, not for "
            f"{type(optimizer).__name__}"
        )
    shared = ("betas", "eps", "decoupled_weight_decay")
    if any(
        [group[key] for key in shared] != [groups[0][key] for key in shared] for group in groups
    ):
        raise UserError("the groups of parameters of a batched optimiser have one set of moments")
    return [[*(group[key] for key in shared), group["weight_decay"]] for group in groups]


def _shapes(network: nn.Module) -> tuple[type, dict[str, torch.Size]]:
    return type(network), {name: value.shape for name, value in network.state_dict().items()}
