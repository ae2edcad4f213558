"""What's the best mini-batch? Algorithm 1 of that paper (Lasky et al., section 3.1).

Pictures are sorted by a metric and cut into fixed batches. Beside the training network runs a twin
that starts each epoch with the same parameters and keeps them: batch by batch, both see the same
pixels, the first takes a step, and of the second only the gradient is kept. At the end of the
epoch the mean of these gradients is the full one, and the distance of each to it is a row of the
matrix that the study is about.

Where the paper is silent:

- gradients are set to zero before every batch, in both networks;
- the twin normalises with the batch's statistics, as in training, and its running averages are
  put back after every batch; it also draws the same dropout masks as the training network, and
  the training is the same, to the bit, as without a twin;
- crops and mirroring are drawn once per batch, for both;
- the last pictures, which fill no batch, are left out, so that all batches count alike in the mean;
- the distance is Euclidean, over all parameters at once.

With ``distances: none`` the same training runs without a twin: so the batches that the paper
recommends are compared with others at equal cost.
"""

import copy
from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from sr_experiments.errors import UserError, blaming
from sr_experiments.models import SRModel, count_parameters, save_model
from sr_experiments.models.classifiers import Classifier
from sr_experiments.quantization.modes import NoQuantization, PostTraining
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.studies.finish import Results, finish
from sr_experiments.studies.gradients import Exact, GradientStore, Sketch, gradient_of
from sr_experiments.studies.measures import ENDS, in_order, measured, name_of
from sr_experiments.studies.policy import Policy, Schedule
from sr_experiments.tasks.contract import TrainingData
from sr_experiments.tasks.scheduling import OptimizerFactory, ScheduledTask, SchedulerFactory

__all__ = ["Distances", "GradientStudy", "StudyData"]

QUARTERS = 4
Distances = Literal["exact", "sketch", "both", "none"]


class StudyData(TrainingData, Protocol):
    """What a study asks of a data set.

    Attributes:
        images: Training pictures.
        batch_size: Pictures per batch.
        cache_dir: Where measures are kept.
    """

    images: int
    batch_size: int
    cache_dir: Path

    def pictures(self) -> Tensor:
        """All training pictures, (N, 3, H, W) uint8, always in the same order."""

    def batch(self, indices: Tensor, iteration: int) -> tuple[Tensor, Tensor]:
        """What the network sees of pictures in an iteration, and what it should make of it."""


class GradientStudy(ScheduledTask):
    """Train on batches in a metric's order, and measure how each stands for all.

    Args:
        network: The network to train.
        loss: (output, target) to a scalar, the mean over the batch.
        data: The data set.
        optimizer: Makes the optimiser from the parameters.
        scheduler: Makes the schedule from ``optimizer`` and ``total_steps``.
        total_steps: Length of the whole training, in batches.
        metric: What the pictures are sorted by; see `Measure`.
        policy: Which batches train, and in which order.
        distances: How gradients are kept: ``exact`` on disk, as a ``sketch``, ``both``, or
            ``none`` for a training without a twin.
        sketch_size: Numbers that a sketch keeps of each gradient.
        phases: Equal parts of the training that results are given for.
        quantization: Must be none.
        seed: Of shuffling and of the sketch.
        channels_last: Keep activations in NHWC memory order.

    Raises:
        UserError: Values contradict each other.
    """

    resumes_in_epoch = False  # the twin is of the epoch's start
    data: StudyData

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        data: StudyData,
        optimizer: OptimizerFactory,
        scheduler: SchedulerFactory,
        *,
        total_steps: int,
        metric: Callable[[Tensor], Tensor],
        policy: Policy,
        distances: Distances = "exact",
        sketch_size: int = 16384,
        phases: int = 3,
        quantization: PostTraining | NoQuantization | None = None,
        seed: int = 1,
        channels_last: bool = True,
    ) -> None:
        super().__init__()
        if distances not in get_args(Distances):
            raise UserError(
                f"task.distances={distances} is none of {', '.join(get_args(Distances))}"
            )
        if distances != "none" and (policy.keep is not None or policy.shuffle == "pictures"):
            raise UserError(
                "distances are of fixed batches that all train once an epoch: add "
                "task/policy=sorted (or shuffled), or task.distances=none"
            )
        if isinstance(quantization, PostTraining):
            raise UserError("a study makes no INT8 file: add quantization=none")
        self.epochs = total_steps // data.steps_per_epoch
        if not 1 <= phases <= self.epochs:
            raise UserError(
                f"task.phases={phases} is not a number from 1 to the {self.epochs} epochs"
            )
        for count in policy.phases - {1, phases}:
            raise UserError(f"task.policy.keep is for {count} phases, and task.phases={phases}")
        if not hasattr(data, "images"):
            raise UserError(
                "task: this data set draws new crops, so no mini-batch stays: add data=photo_crops "
                "to study a network that enlarges, data=cifar10 for one that classifies"
            )
        batches = data.images // data.batch_size
        if distances != "none" and batches != data.steps_per_epoch:
            raise UserError(
                "distances need whole epochs: raise trainer.epochs or budget, or add "
                "task.distances=none"
            )
        for phase in range(phases):
            policy.kept(phase, batches)
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.network = network.to(memory_format=self.memory_format)
        self.loss, self.data, self.total_steps = loss, data, total_steps
        self.make_optimizer, self.make_scheduler = optimizer, scheduler
        self.measure, self.policy, self.phases, self.seed = metric, policy, phases, seed
        self.distances, self.sketch_size = distances, sketch_size
        self.rows: dict[str, list[Tensor]] = {name: [] for name in self._kinds()}
        self.schedule: Schedule | None = None
        self._twin: list[nn.Module] = []  # a list, so that it is neither trained nor saved
        self._stores: dict[str, GradientStore] = {}

    @property
    def newest_is_best(self) -> bool:
        """The study is of the whole training; nothing is chosen by what validation shows."""
        return True

    def setup(self, stage: str) -> None:
        """Sort the pictures."""
        self.schedule = self._schedule()

    def forward(self, images: Tensor) -> Tensor:
        """What the network makes of a batch as the data set gives it."""
        output: Tensor = self.network(
            images.to(self.device).contiguous(memory_format=self.memory_format)
        )
        return output

    def on_train_epoch_start(self) -> None:
        """Give the twin the parameters that the epoch starts with."""
        if not self._kinds():
            return
        if not self._twin:
            self._twin.append(copy.deepcopy(self.network))
            self._stores = self._make_stores(Path(self.trainer.default_root_dir))
        self._twin[0].load_state_dict(self.network.state_dict())
        self._twin[0].train()
        for store in self._stores.values():
            store.start()

    def training_step(self, index: int, batch_idx: int) -> Tensor:
        """The twin's gradient, then the network's loss; the entry ``index`` is unused."""
        assert self.schedule is not None
        inputs, targets = self.data.batch(self.schedule.pictures(self.iteration), self.iteration)
        inputs = inputs.to(self.device).contiguous(memory_format=self.memory_format)
        targets = targets.to(self.device)
        if self._stores:
            place = self.schedule.place(self.iteration)
            assert place is not None
            gradient = twin_gradient(self._twin[0], self.loss, inputs, targets)
            for store in self._stores.values():
                store.add(place, gradient)
        loss = self.total_loss({"loss": self.loss(self.network(inputs), targets)})
        self.log("train/loss", loss.detach(), on_epoch=True, on_step=False, batch_size=1)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: int, batch_idx: int) -> None:
        """Count the batch; after the last one, measure the epoch's distances."""
        self.iteration += 1
        if self.iteration % self.data.steps_per_epoch:
            return
        for name, store in self._stores.items():
            row = store.distances()
            self.rows[name].append(row)
            self.log(f"study/{name}_distance", float(row.mean()), batch_size=1)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimiser and its schedule."""
        trained = [value for value in self.network.parameters() if value.requires_grad]
        optimizer: torch.optim.Optimizer = self.make_optimizer(trained)
        scheduler = self.make_scheduler(optimizer, total_steps=self.total_steps)
        return self.scheduled(optimizer, scheduler)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the matrix so far."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["distances"] = {name: list(rows) for name, rows in self.rows.items()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with it."""
        super().on_load_checkpoint(checkpoint)
        self.rows = {name: list(rows) for name, rows in checkpoint["distances"].items()}

    def preflight(self, choices: Mapping[str, str]) -> None:
        """A batch of noise through metric and network, and a look at the disk; see `Task`."""
        random_state, before = torch.get_rng_state(), copy.deepcopy(self.state_dict())
        self.check(choices)
        if self._kinds() and self.data.steps_per_epoch < QUARTERS:
            raise UserError(
                f"{self.data.steps_per_epoch} batches have no quarters: lower data.batch_size, or "
                "add task.distances=none"
            )
        pictures = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
        for measure in (self.measure, *(other.metric for other in self.policy.also.values())):
            measured(measure, pictures, None)
        inputs, targets = self.noise()
        output = self(inputs)
        loss = blaming("loss", lambda: self.loss(output, targets))
        torch.autograd.backward(self.total_loss({"loss": loss}))
        self.zero_grad(set_to_none=True)
        if self._kinds():
            for store in self._make_stores(self.data.cache_dir).values():
                if isinstance(store, Exact):
                    store.check()
        self.load_state_dict(before)
        torch.set_rng_state(random_state)

    @abstractmethod
    def check(self, choices: Mapping[str, str]) -> None:
        """Whether network, loss and data are of a kind.

        Raises:
            UserError: They are not.
        """

    @abstractmethod
    def noise(self) -> tuple[Tensor, Tensor]:
        """A batch of two, for preflight."""

    @abstractmethod
    def test(self) -> dict[str, float]:
        """Scores of the network, at the end, by name."""

    def finish(self, folder: RunFolder, config: Mapping[str, Any], threads: int) -> dict[str, Any]:
        """Save network, matrix and heat maps, test, and print what was found; see `Task`."""
        network, config = self.cpu().outcome(config)
        assert isinstance(network, Classifier | SRModel)
        save_model(network.eval(), config, folder.path / "model.safetensors")
        with torch.no_grad():
            test = self.test()
        schedule = self.schedule or self._schedule()
        stores = self._make_stores(folder.path) if self._kinds() else {}
        results = Results(
            title=getattr(self.measure, "title", name_of(self.measure)),
            metric=name_of(self.measure),
            ends=getattr(self.measure, "ends", ENDS),
            distances={name: torch.stack(rows) for name, rows in self.rows.items()},
            schedule=schedule,
            pictures=self.data.pictures().cpu(),
            stored={name: store.bytes for name, store in stores.items()},
            test=test,
            score=self.metric,
        )
        values = finish(folder, results)
        return {"params": count_parameters(self.network), **values}

    def _schedule(self) -> Schedule:
        def order(measure: Callable[[Tensor], Tensor]) -> Tensor:
            return in_order(measured(measure, self.data.pictures(), self.data.cache_dir))

        return Schedule(
            order(self.measure),
            self.data.batch_size,
            self.policy,
            epochs=self.epochs,
            steps=self.data.steps_per_epoch,
            phases=self.phases,
            seed=self.seed,
            others={name: order(other.metric) for name, other in self.policy.also.items()},
        )

    def _kinds(self) -> list[str]:
        kinds = {"none": [], "both": ["exact", "sketch"]}
        return kinds.get(self.distances, [self.distances])

    def _make_stores(self, folder: Path) -> dict[str, GradientStore]:
        batches = self.data.steps_per_epoch
        length = sum(p.numel() for p in self.network.parameters() if p.requires_grad)
        made: dict[str, GradientStore] = {}
        if "exact" in self._kinds():
            made["exact"] = Exact(batches, length, folder / "gradients")
        if "sketch" in self._kinds():
            made["sketch"] = Sketch(batches, length, self.sketch_size, self.seed)
        return made


def twin_gradient(
    twin: nn.Module, loss: nn.Module, inputs: Tensor, targets: Tensor
) -> list[Tensor]:
    """Gradient of one batch, in flat parts; parameters, buffers and random state stay.

    Args:
        twin: In training mode.
        loss: (output, target) to a scalar.
        inputs: What it sees.
        targets: What it should make of it.
    """
    before = [buffer.clone() for buffer in twin.buffers()]
    devices = [inputs.device] if inputs.device.type == "cuda" else []
    twin.zero_grad(set_to_none=True)
    with torch.random.fork_rng(devices=devices):
        torch.autograd.backward(loss(twin(inputs), targets))
    for buffer, start in zip(twin.buffers(), before, strict=True):
        buffer.copy_(start)
    return gradient_of(twin)
