"""Channel ranker (TCLResearchEurope's RPQ, Mobile AI 2022, arXiv:2211.05910, 4.2).

Behind each convolution of which channels can go, a network of two layers says which matter least;
they go when the stage is over, and their rankers with them.

The report says no more. The rest follows torch-dag, the public pruning of the same group, which
is younger than the challenge: the ranker sees ones and so learns a logit for every channel,
kept where it is above zero at the end. In training a channel is multiplied by a Gumbel-softmax
sample of its logit, or left alone as often as the average channel is kept; the loss gains the
noise that the masks add, the entropy of the choices, and what the network costs beyond a target.

Deviations, and what the facts leave open:
- The factor of the logits is 0.01 at 100,000 steps and larger for shorter stages, so that a
  logit can cross from 3 to below 0 in any; the second layer starts at zero, so that all do at 3.
- The annealing counts in shares of the stage, and the entropy waits for the cost: from the start,
  it would hold every channel that weighs less than the average at "kept" (all of a first layer).
- The cost is the weights of all convolutions: what an INT8 file weighs, and the operations of a
  picture where all layers work at one resolution. Those that no pruning can change count, too.
  Falling below the target costs as much as exceeding it, where torch-dag leaves that free: in a
  stage of hundreds of steps the logits pass the target together, and the entropy would drive
  them on (of RPQ, 22 % of the weights were left of 45 % wanted).
- A convolution that would lose all channels keeps its best.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.models import SRModel
from sr_experiments.pruning.surgery import pruned_twin
from sr_experiments.pruning.wiring import Conv, wiring

SIDE = 3  # of the ones that a ranker sees, and of its first layer's kernels
START = 3.0  # logit of a fresh channel: kept with 95 %
LIMIT = 6.0
GAIN = 1000.0  # factor of the logits times the steps of the stage
RANKERS_LR = 1e-3  # for which that factor is made, whatever the network trains with


class Weights(NamedTuple):
    """Of the three terms.

    Attributes:
        noise: Energy that the masks take from a layer's output, as a share of it; the mean over
            layers.
        entropy: Of the choice of a channel; the mean over channels.
        cost: Distance of the expected weights from the target, as a share of the target.
    """

    noise: float = 1e-3
    entropy: float = 0.1
    cost: float = 0.1


class Ranker(nn.Module):
    """Logits of the channels of one convolution.

    Args:
        channels: How many.
        gain: Factor of what the two layers make.
    """

    def __init__(self, channels: int, gain: float) -> None:
        super().__init__()
        self.channels = channels
        self.gain = gain
        self.first = nn.Conv2d(channels, channels, SIDE, padding=SIDE // 2, groups=channels)
        self.second = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.second.weight)
        assert self.second.bias is not None
        nn.init.zeros_(self.second.bias)

    def forward(self) -> Tensor:
        """``(channels,)`` in [-6, 6]."""
        ones = self.first.weight.new_ones(1, self.channels, SIDE, SIDE)
        output: Tensor = self.second(self.first(ones)).mean(dim=(2, 3))[0]
        return (START + self.gain * output).clamp(-LIMIT, LIMIT)


class ChannelRanking(nn.Module):
    """The rankers of a network, which masks its channels from then on.

    In evaluation mode the masks are the decisions themselves.

    Args:
        network: What they are put into; it is no part of this module.
        total_steps: Of the stage.
        target: Share of the weights that may stay.
        weights: Of the terms.
        annealing: Share of the stage after which nine tenths of the cost count, and the entropy
            begins to.
        temperature: Of the samples; low ones are nearly 0 or 1.
        floor: Entropy, in nats, that is free.

    Raises:
        UserError: No channel of the network can go.
    """

    steps: Tensor

    def __init__(
        self,
        network: SRModel,
        total_steps: int,
        target: float,
        weights: Weights,
        annealing: float = 0.4,
        temperature: float = 0.5,
        floor: float = 0.01,
    ) -> None:
        super().__init__()
        self.total_steps = total_steps
        self.target = target
        self.weights = weights
        self.annealing = annealing
        self.temperature = temperature
        self.floor = floor
        convs = wiring(network)
        removable = [conv for conv in convs if conv.removable]
        if not removable:
            raise UserError(
                f"no channel of {type(network).__name__} can be removed: additions, batch norms or "
                "the picture read all of them"
            )
        self.names = [conv.name for conv in removable]
        self.rankers = nn.ModuleList(
            Ranker(conv.channels, GAIN / total_steps) for conv in removable
        )
        self.costs = [_Cost(conv) for conv in convs]
        self.whole = float(self.count({c.name: torch.ones(c.channels) for c in removable}))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.noise: dict[str, Tensor] = {}
        self._twins: list[SRModel] = []  # in a list, it is no submodule
        self.register_load_state_dict_post_hook(  # type: ignore[no-untyped-call]
            lambda *_: self._twins.clear()
        )
        for index, name in enumerate(self.names):
            network.get_submodule(name).register_forward_hook(self._mask_of(index))

    def logits(self) -> dict[str, Tensor]:
        """Of every channel that can go, by path of its convolution."""
        return {name: ranker() for name, ranker in zip(self.names, self.rankers, strict=True)}

    @torch.no_grad()
    def keep(self) -> dict[str, Tensor]:
        """Which channels stay, as it is decided now."""
        return {name: _decided(logits) for name, logits in self.logits().items()}

    def share(self) -> float:
        """Share of the weights that stay, as it is decided now."""
        return float(self.count(self.keep())) / self.whole

    def count(self, kept: Mapping[str, Tensor]) -> Tensor:
        """Weights of all convolutions; ``kept`` says how far each channel is there, in [0, 1]."""
        return torch.stack([cost.of(kept) for cost in self.costs]).sum()

    def terms(self) -> dict[str, Tensor]:
        """What a step minimises besides the loss, after a forward pass in training mode."""
        logits = self.logits()
        kept = {name: values.sigmoid() for name, values in logits.items()}
        choice = torch.cat(list(kept.values()))
        entropy = -(torch.xlogy(choice, choice) + torch.xlogy(1 - choice, 1 - choice)).mean()
        cost = self.count(kept) / (self.target * self.whole)
        noise = torch.stack(list(self.noise.values())).mean()
        self.noise.clear()
        done = self.steps / (self.annealing * self.total_steps)
        return {
            "ranker/noise": self.weights.noise * noise,
            "ranker/entropy": self.weights.entropy
            * _risen(done - 1)
            * (entropy - self.floor).relu(),
            "ranker/cost": self.weights.cost * _risen(done) * (cost - 1).abs(),
        }

    def advance(self) -> None:
        """Count a step."""
        self.steps += 1
        self._twins.clear()

    def twin(self, network: SRModel) -> SRModel:
        """The folded network without the channels that go, the same until the next step.

        Args:
            network: The one that is ranked, or an average of its weights.
        """
        if not self._twins:
            self._twins.append(pruned_twin(network, self.keep()))
        return self._twins[0]

    def _mask_of(self, index: int) -> Callable[[nn.Module, Any, Tensor], Tensor]:
        # A function, not a bound method: copies of the network share it.
        def mask(conv: nn.Module, inputs: Any, output: Tensor) -> Tensor:
            logits: Tensor = self.rankers[index]()
            if not conv.training:
                return output * _decided(logits).to(output).view(-1, 1, 1)
            masked = output * self._sample(logits).view(-1, 1, 1)
            energy = output.square().sum() + torch.finfo(output.dtype).tiny
            self.noise[self.names[index]] = (output - masked).square().sum() / energy
            return masked

        return mask

    def _sample(self, logits: Tensor) -> Tensor:
        uniform = torch.rand_like(logits).clamp(1e-6, 1 - 1e-6)
        sample = ((logits + uniform.logit()) / self.temperature).sigmoid()
        spared = torch.rand_like(logits) < logits.sigmoid().mean()
        return torch.where(spared, 1.0, sample)


class _Cost:
    """The weights of one convolution."""

    def __init__(self, conv: Conv) -> None:
        self.conv = conv
        sources = [channel for channel in conv.reads if channel is not None]
        self.fixed = len(conv.reads) - len(sources)
        self.read = {
            name: torch.tensor([index for source, index in sources if source == name])
            for name in dict(sources)
        }

    def of(self, kept: Mapping[str, Tensor]) -> Tensor:
        """How many, where ``kept`` says how far each channel is there."""
        read = next(iter(kept.values())).new_full((), self.fixed, dtype=torch.float32)
        for name, index in self.read.items():
            read = read + kept[name][index.to(read.device)].sum()
        made = kept[self.conv.name].sum() if self.conv.removable else self.conv.channels
        return self.conv.area * read * made


def _risen(done: Tensor) -> Tensor:
    return 1 - 0.1 ** done.clamp(min=0)


def _decided(logits: Tensor) -> Tensor:
    keep = logits > 0
    return keep if keep.any() else logits == logits.max()
