"""Classification: pictures in, a label out; any number of classes, with any loss of logits.

One sigmoid neuron with binary cross-entropy for two classes, as the glasses paper has it, or a
neuron for each class with cross-entropy. The best network is the one with the least loss on the
validation pictures, as Keras's callbacks choose it. Every score is of the whole part at once,
not a mean over batches.
"""

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from sr_experiments.errors import UserError, blaming
from sr_experiments.metrics import CLASSIFICATION_METRICS, classification_scores
from sr_experiments.models import Classifier, save_model
from sr_experiments.quantization.modes import NoQuantization
from sr_experiments.reporting.classification.finish import finish
from sr_experiments.reporting.classification.predictions import Predictions
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.tasks.contract import TrainingData
from sr_experiments.tasks.scheduling import OptimizerFactory, ScheduledTask, SchedulerFactory

WEIGHTS = "model.safetensors"
EVALUATED = 256  # pictures at once, where nothing is trained


class Part(Protocol):
    """Pictures with labels: those that validate, for instance."""

    names: list[str]
    labels: Tensor

    def __len__(self) -> int: ...

    def images(self, indices: Tensor) -> Tensor:
        """Pictures, (n, 3, size, size) in [0, 1]."""


class ClassifiedData(TrainingData, Protocol):
    """What this task asks of a data set.

    Attributes:
        classes: Names.
        size: Height and width of the pictures.
    """

    classes: tuple[str, ...]
    size: int

    def train_batch(self, iteration: int) -> tuple[Tensor, Tensor]:
        """(n, 3, size, size) in [0, 1] and (n,) int64, a pure function of ``iteration``."""

    def part(self, name: str) -> Part:
        """``train``, ``val`` or ``test``."""


class ClassificationTask(ScheduledTask):
    """Minimise ``loss(logits, labels)``.

    Args:
        network: The classifier to train.
        loss: (N, outputs) and (N,) to a scalar.
        data: The data set.
        optimizer: Makes the optimiser from the parameters.
        scheduler: Makes the schedule from ``optimizer`` and ``total_steps``.
        total_steps: Length of the whole training, in batches.
        quantization: Must be none: the INT8 file is made of networks that enlarge.
        best_by: Metric that the best network is chosen by: ``val/loss``, the lower the better,
            or another of the validation's, the higher the better.
        unsure: Probabilities between these two are neither yes nor no (two classes); over more
            classes, those below the second.
        channels_last: Keep activations in NHWC memory order.

    Raises:
        UserError: The network is no classifier, or an option is out of range.
    """

    network: Classifier
    data: ClassifiedData

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        data: ClassifiedData,
        optimizer: OptimizerFactory,
        scheduler: SchedulerFactory,
        *,
        total_steps: int,
        quantization: object = None,
        best_by: str = "val/loss",
        unsure: tuple[float, float] = (0.4, 0.6),
        channels_last: bool = True,
    ) -> None:
        super().__init__()
        if not isinstance(network, Classifier):
            raise UserError(
                f"{type(network).__name__} is no classifier: task=classification trains "
                "model=glasses_cnn or model=timm_classifier"
            )
        if not getattr(loss, "classifies", False):
            raise UserError(
                f"{type(loss).__name__} compares pictures: add loss=binary_cross_entropy or "
                "loss=cross_entropy"
            )
        if not isinstance(quantization, NoQuantization | None):
            raise UserError("a classifier is not quantised: add quantization=none")
        if len(unsure) != 2 or not 0 <= unsure[0] <= unsure[1] <= 1:
            raise UserError(f"task.unsure={list(unsure)} is not [from, to] within 0 and 1")
        names = ("loss", *CLASSIFICATION_METRICS)
        if best_by not in [f"val/{name}" for name in names]:
            known = ", ".join(f"val/{name}" for name in names)
            raise UserError(f"task.best_by={best_by} is not measured: use {known}")
        self.metric = best_by  # type: ignore[misc]
        self.higher_is_better = best_by not in ("val/loss", "val/calibration_error")  # type: ignore[misc]
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.network = network.to(memory_format=self.memory_format)
        self.loss, self.data, self.unsure = loss, data, (unsure[0], unsure[1])
        self.total_steps = total_steps
        self.make_optimizer, self.make_scheduler = optimizer, scheduler
        self._logits: list[Tensor] = []

    def setup(self, stage: str) -> None:
        """Read the weights that training starts from, where the network asks for some."""
        self.network.load_pretrained()

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (N, outputs), of (N, 3, size, size) in [0, 1]."""
        images = images.to(self.device).contiguous(memory_format=self.memory_format)
        logits: Tensor = self.network(images)
        return logits

    def training_step(self, index: int, batch_idx: int) -> Tensor:
        """One optimiser step on the batch of this iteration; the entry ``index`` is unused."""
        with self.waiting():
            images, labels = self.data.train_batch(self.iteration)
        labels = labels.to(self.device)
        logits = self(images)
        name = type(self.loss).__name__.lower()
        loss = self.total_loss({name: self.loss(logits, labels)})
        right = self.network.probabilities(logits.detach()).argmax(1) == labels
        for key, value in (("loss", loss.detach()), ("accuracy", right.float().mean())):
            # Weighted by the pictures: the last batch of an epoch is smaller.
            self.log(f"train/{key}", value, on_epoch=True, on_step=False, batch_size=len(labels))
        return loss

    def on_train_batch_end(self, outputs: Any, batch: int, batch_idx: int) -> None:
        """Count the batch."""
        self.iteration += 1

    def val_dataloader(self) -> Iterable[int]:
        """First pictures of the validation's batches."""
        return range(0, len(self.data.part("val")), EVALUATED)

    def on_validation_epoch_start(self) -> None:
        """Forget the last epoch's logits."""
        self._logits = []

    def validation_step(self, start: int, batch_idx: int) -> None:
        """Keep the logits of some pictures."""
        part = self.data.part("val")
        chosen = torch.arange(start, min(start + EVALUATED, len(part)))
        self._logits.append(self(part.images(chosen)).float())

    def on_validation_epoch_end(self) -> None:
        """Score the validation pictures."""
        logits, labels = torch.cat(self._logits), self.data.part("val").labels.to(self.device)
        scores = {"loss": float(self.loss(logits, labels))}
        scores |= classification_scores(self.network.probabilities(logits).cpu(), labels.cpu())
        for name, value in scores.items():
            self.log(f"val/{name}", value, prog_bar=name in ("loss", "accuracy"))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimiser and its schedule."""
        trained = [value for value in self.network.parameters() if value.requires_grad]
        optimizer: torch.optim.Optimizer = self.make_optimizer(trained)
        scheduler = self.make_scheduler(optimizer, total_steps=self.total_steps)
        return self.scheduled(optimizer, scheduler)

    def preflight(self, choices: Mapping[str, str]) -> None:
        """One batch of noise forward and backward; see `Task`."""
        network = self.network
        if (network.size, network.classes) != (self.data.size, tuple(self.data.classes)):
            raise UserError(
                f"model={choices['model']} is for {network.size} pixels and "
                f"{', '.join(network.classes)}; data={choices['data']} has {self.data.size} and "
                f"{', '.join(self.data.classes)}: leave model.size and model.classes alone"
            )
        random_state, before = torch.get_rng_state(), copy.deepcopy(self.state_dict())
        images = torch.rand(2, 3, self.data.size, self.data.size)
        labels = torch.tensor([0, len(self.data.classes) - 1])
        logits = self(images)
        if logits.shape != (2, network.outputs):
            raise UserError(
                f"model={choices['model']} makes {tuple(logits.shape)} of {tuple(images.shape)}, "
                f"not (2, {network.outputs})"
            )
        loss = blaming("loss", lambda: self.loss(logits, labels))
        torch.autograd.backward(self.total_loss({"loss": loss}))
        self.zero_grad(set_to_none=True)
        network.load_pretrained()
        # Training starts as if nothing had run: batch norm has seen the noise above.
        self.load_state_dict(before)
        torch.set_rng_state(random_state)

    @torch.no_grad()
    def predict(self, name: str) -> Predictions:
        """What the network says of every picture of a part: ``train``, ``val`` or ``test``."""
        part, training = self.data.part(name), self.network.training
        self.network.eval()
        logits = torch.cat([self(batch).float().cpu() for batch in batches(part)])
        self.network.train(training)
        loss = float(self.loss(logits, part.labels.cpu()))
        return Predictions(
            names=part.names,
            labels=part.labels.cpu(),
            probabilities=self.network.probabilities(logits),
            loss=loss,
            classes=self.network.classes,
            unsure=self.unsure,
        )

    def outcome(self, config: Mapping[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
        """The network, described as one that has its weights; see `Task`."""
        return self.network, self.network.described(dict(config))

    def finish(self, folder: RunFolder, config: Mapping[str, Any], threads: int) -> dict[str, Any]:
        """Save the network, score every part and draw pictures; see `Task`."""
        self.cpu()
        self.data.setup(torch.device("cpu"))
        save_model(self.network, self.network.described(dict(config)), folder.path / WEIGHTS)
        predictions = {name: self.predict(name) for name in ("train", "val", "test")}
        return finish(folder, self.network, predictions, self._image)

    def _image(self, part: str, index: int) -> Tensor:
        return self.data.part(part).images(torch.tensor([index]))[0]


def batches(part: Part) -> Iterator[Tensor]:
    """All pictures of a part, in order."""
    for start in range(0, len(part), EVALUATED):
        yield part.images(torch.arange(start, min(start + EVALUATED, len(part))))
