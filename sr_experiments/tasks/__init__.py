"""Training procedures: one LightningModule each."""

from sr_experiments.tasks.base import SuperResolutionTask
from sr_experiments.tasks.classification import ClassificationTask
from sr_experiments.tasks.classifier_study import ClassifierStudy
from sr_experiments.tasks.contract import Task, TrainingData
from sr_experiments.tasks.enlarger_study import EnlargerStudy
from sr_experiments.tasks.fitting import FitTask
from sr_experiments.tasks.gan import GANTask
from sr_experiments.tasks.regression import RegressionTask
from sr_experiments.tasks.scheduling import NonFiniteLossError, ScheduledTask

__all__ = [
    "ClassificationTask",
    "ClassifierStudy",
    "EnlargerStudy",
    "FitTask",
    "GANTask",
    "NonFiniteLossError",
    "RegressionTask",
    "ScheduledTask",
    "SuperResolutionTask",
    "Task",
    "TrainingData",
]
