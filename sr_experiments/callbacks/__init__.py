"""Measurements and records that accompany any training."""

from sr_experiments.callbacks.agreement import Agreement
from sr_experiments.callbacks.channel_ranker import ChannelRanker
from sr_experiments.callbacks.checkpoints import Checkpoints
from sr_experiments.callbacks.early_stopping import EarlyStopping
from sr_experiments.callbacks.health import Health
from sr_experiments.callbacks.histograms import Histograms
from sr_experiments.callbacks.int8_drop import Int8Drop
from sr_experiments.callbacks.perception import Perception
from sr_experiments.callbacks.progress import EpochLines, Progress, progress_callback
from sr_experiments.callbacks.run_record import RunRecord
from sr_experiments.callbacks.stopping import Stopping
from sr_experiments.callbacks.weight_clip import WeightClip

__all__ = [
    "Agreement",
    "ChannelRanker",
    "Checkpoints",
    "EarlyStopping",
    "EpochLines",
    "Health",
    "Histograms",
    "Int8Drop",
    "Perception",
    "Progress",
    "RunRecord",
    "Stopping",
    "WeightClip",
    "progress_callback",
]
