"""Loggers beside ``metrics.csv``: what ``logger=`` names, checked when it is made, opened later.

Making one has no side effect, so preflight finds a wrong option or a missing package before there
is a run folder; ``open`` starts the record of a run. Every logger gets the same names and numbers:
each epoch's row, histograms of weights and activations, and the results at the end. Curves of
training are drawn over ``iteration`` (data batches), all others over ``epoch``; none over
optimiser steps.
"""

from sr_experiments.reporting.loggers.options import MLflow, NoLogger, TensorBoard, WandB
from sr_experiments.reporting.loggers.run import LoggedRun, closing, log_results, opened

__all__ = [
    "LoggedRun",
    "MLflow",
    "NoLogger",
    "TensorBoard",
    "WandB",
    "closing",
    "log_results",
    "opened",
]
