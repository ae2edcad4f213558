"""Fitting in place of training: the network learns from all photos in one step.

It is a step of Lightning's so that validation, checkpoints and the run folder are those of every
other run.
"""

from collections.abc import Mapping

from torch import Tensor

from sr_experiments.data import SRData
from sr_experiments.errors import UserError
from sr_experiments.models.fitted import FittedModel
from sr_experiments.tasks.base import SuperResolutionTask


class FitTask(SuperResolutionTask):
    """Call `FittedModel.fit` once.

    Args:
        network: The network to fit.
        data: Its data set; what it says of batches, crops and augmentation plays no part.
        seed: Of the fit.
        share: Factor on the amount of training samples.
    """

    network: FittedModel

    def __init__(
        self, network: FittedModel, data: SRData, *, seed: int = 1, share: float = 1.0
    ) -> None:
        super().__init__(network, data, channels_last=False)
        self.automatic_optimization = False
        self.seed, self.share = seed, share
        data.steps_per_epoch = 1

    def terms(self, low_res: Tensor, high_res: Tensor) -> dict[str, Tensor]:
        """None: no loss is minimised step by step."""
        return {}

    def preflight(self, choices: Mapping[str, str]) -> None:
        """Check the sizes; see `Task`. The fit itself has nothing to try in seconds.

        Raises:
            UserError: Network and data have another scale.
        """
        if self.network.scale != self.data.scale:
            raise UserError(
                f"model={choices['model']} enlarges x{self.network.scale} and the data are for "
                f"x{self.data.scale}: set scale= alone"
            )

    def training_step(self, index: int, batch_idx: int) -> None:
        """The whole fit, on the CPU: dictionaries are learned nowhere else."""
        device = self.device
        self.network.cpu().fit(self.data.train_images(), seed=self.seed, share=self.share)
        self.network.to(device)

    def on_train_batch_end(self, outputs: object, batch: int, batch_idx: int) -> None:
        """Count the step."""
        self.iteration += 1

    def configure_optimizers(self) -> list[object]:  # type: ignore[override]
        """None."""
        return []
