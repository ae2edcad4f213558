"""TensorBoard by Lightning's logger, each curve over its own axis.

TensorBoard's curves have one step: ``iteration`` for training and learning rates, ``epoch`` for
the rest. ``epoch`` and ``iteration`` are curves, too, each over the other. A resumed run adds a
file to the same folder; epochs trained again are equal, so they fall on the same points.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image

from sr_experiments.reporting.distributions import Distribution
from sr_experiments.reporting.loggers.options import TensorBoard
from sr_experiments.reporting.loggers.results import PICTURES, Results
from sr_experiments.reporting.loggers.run import LoggedRun, steps


class TensorBoardRun(TensorBoardLogger):
    """An open folder of event files.

    Args:
        options: Of the group ``logger``.
        run: What is logged.
    """

    def __init__(self, options: TensorBoard, run: LoggedRun) -> None:
        folder = options.folder or str(run.folder / "tensorboard")
        name = "" if options.folder is None else f"{run.folder.parent.name}/{run.folder.name}"
        super().__init__(folder, name=name, version="", default_hp_metric=False)
        self.histograms = options.histograms
        self.described = run.described

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record an epoch's row, or the results, which are no curves."""
        if "epoch" not in metrics:
            super().log_metrics(metrics, step)
            return
        for over, values in steps(metrics).items():
            super().log_metrics(values, int(metrics[over]))

    def log_distributions(
        self, distributions: Sequence[Distribution], axes: Mapping[str, int]
    ) -> None:
        """Record histograms and the ends of the quantiser's ranges."""
        for item in distributions:
            centres = (item.edges[1:] + item.edges[:-1]) / 2
            self.experiment.add_histogram_raw(
                item.name,
                min=float(item.edges[0]),
                max=float(item.edges[-1]),
                num=int(item.counts.sum()),
                sum=float(item.counts @ centres),
                sum_squares=float(item.counts @ centres**2),
                bucket_limits=item.edges[1:].tolist(),
                bucket_counts=item.counts.tolist(),
                global_step=axes["epoch"],
            )
            for name, value in item.ends.items():
                self.experiment.add_scalar(name, value, axes["epoch"])

    def log_results(self, results: Results) -> None:
        """Record pictures, the table of test images, and the results beside the configuration."""
        for path in results.strips:
            with Image.open(path) as picture:
                pixels = np.asarray(picture.convert("RGB"))
            name = f"{PICTURES}/{path.stem}"
            self.experiment.add_image(name, pixels, results.epochs, dataformats="HWC")
        self.experiment.add_text("test_images", results.markdown(), results.epochs)
        if results.numbers:
            params = {**self.described, **results.facts}
            TensorBoardLogger.log_hyperparams(self, params, results.numbers, results.epochs)
        self.save()
