"""Channel pruning as a stage: rank while training, remove when the stage is over.

What validation scores, and what INT8 is measured of, is the network without the channels that
would go now; so ``val/psnr`` falls as the rankers decide, and the stage leaves its last network
rather than its best. The stage after it trains on what is left, as a rule with the network of a
stage before as its teacher (``task.teacher=<stage>``).
"""

from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_warn

from sr_experiments.errors import UserError
from sr_experiments.pruning import ChannelRanking, Weights, pruned
from sr_experiments.quantization.qat import QuantizationAware
from sr_experiments.tasks import RegressionTask, Task

MISSED = 1.1  # times the target: worth a warning


class ChannelRanker(pl.Callback):
    """Let a ranker behind every convolution find the channels that matter least.

    See ``pruning.ranker`` for what they minimise.

    Args:
        target: Share of the weights that may stay.
        noise: Weight of the energy that the masks take away.
        entropy: Weight of indecision.
        cost: Weight of the distance from the target.
        annealing: Share of the stage after which nine tenths of the cost count, and the entropy
            begins to.
        temperature: Of the Gumbel-softmax samples.

    Raises:
        UserError: An option is out of range.
    """

    def __init__(
        self,
        target: float = 0.5,
        noise: float = 1e-3,
        entropy: float = 0.1,
        cost: float = 0.1,
        annealing: float = 0.4,
        temperature: float = 0.5,
    ) -> None:
        if not 0 < target < 1:
            raise _refusal(f"target={target} is not between 0 and 1")
        if not 0 < annealing < 1:
            raise _refusal(f"annealing={annealing} is not between 0 and 1")
        if not temperature > 0:
            raise _refusal(f"temperature={temperature} is not above 0")
        for name, weight in (("noise", noise), ("entropy", entropy)):
            if weight < 0:
                raise _refusal(f"{name}={weight} is negative")
        if not cost > 0:
            raise _refusal(f"cost={cost} is not above 0: nothing would be removed")
        self.target = target
        self.weights = Weights(noise, entropy, cost)
        self.annealing = annealing
        self.temperature = temperature

    def attach(self, task: Task, config: Mapping[str, Any]) -> None:
        """Put the rankers into the task, before its optimiser is made.

        Args:
            task: Not trained yet.
            config: The ``model`` node of its network.

        Raises:
            UserError: Its network cannot be pruned, or not in this task or mode.
        """
        if not isinstance(task, RegressionTask):
            raise _refusal(f"{type(task).__name__} cannot be pruned; use task=regression")
        if isinstance(task.quantization, QuantizationAware):
            raise _refusal(
                "channels are removed before quantisation-aware training: use another quantization "
                "in this stage"
            )
        try:
            ranking = ChannelRanking(
                task.network,
                task.total_steps,
                self.target,
                self.weights,
                self.annealing,
                self.temperature,
            )
            pruned(task.network, config, ranking.keep())
        except UserError as error:
            raise _refusal(str(error)) from error
        task.ranking = ranking

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log how much would stay."""
        ranking = _ranking(pl_module)
        left = torch.cat(list(ranking.keep().values()))
        pl_module.log("prune/channels", float(left.sum()), rank_zero_only=True)
        pl_module.log("prune/weights", ranking.share(), rank_zero_only=True)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say what goes, and whether it is as much as was asked for."""
        ranking = _ranking(pl_module)
        keep, share = ranking.keep(), ranking.share()
        before = ", ".join(str(len(stays)) for stays in keep.values())
        after = ", ".join(str(int(stays.sum())) for stays in keep.values())
        print(f"channels {before} -> {after}: {share:.1%} of the weights stay")
        if share > MISSED * self.target:
            rank_zero_warn(
                f"callbacks.channel_ranker: {share:.1%} of the weights stay, where target="
                f"{self.target:g} was asked for; give the stage more epochs, or raise cost="
                f"{self.weights.cost:g}"
            )


def _ranking(pl_module: pl.LightningModule) -> ChannelRanking:
    assert isinstance(pl_module, RegressionTask)
    assert pl_module.ranking is not None
    return pl_module.ranking


def _refusal(text: str) -> UserError:
    prefix = "callbacks.channel_ranker"
    return UserError(f"{prefix}.{text}" if "=" in text.split(" ")[0] else f"{prefix}: {text}")
