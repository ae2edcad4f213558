"""MLflow by Lightning's logger: the same run after a resume, each curve over its own axis.

MLflow's curves have one step: ``iteration`` for training and learning rates, ``epoch`` for the
rest. It has no histograms: their picture is an artifact, the ranges' ends are metrics. Runs go
into an SQLite file, for MLflow 3 no longer writes folders.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import MLFlowLogger

from sr_experiments.errors import UserError
from sr_experiments.reporting.distributions import Distribution, draw
from sr_experiments.reporting.loggers.options import MLflow
from sr_experiments.reporting.loggers.results import PICTURES, Results
from sr_experiments.reporting.loggers.run import LoggedRun, steps

TABLE, DRAWN = "test_images.json", "distributions.png"


def open_run(options: MLflow, run: LoggedRun) -> "MLflowRun":
    """Start an MLflow run, or go on in it.

    Raises:
        UserError: The server or file cannot be used.
    """
    from mlflow.exceptions import MlflowException

    # Each tells of an experiment or a table that is made at the first use, which is no news.
    for name in ("lightning.pytorch.loggers.mlflow", "alembic", "mlflow.store.db.utils"):
        logging.getLogger(name).setLevel(logging.ERROR)
    store = Path(options.store).expanduser().absolute()
    uri = options.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    artifacts = None
    if not uri:
        store.parent.mkdir(parents=True, exist_ok=True)
        uri, artifacts = f"sqlite:///{store}", (store.parent / "mlflow_artifacts").as_uri()
    try:
        made = MLflowRun(options, run, uri, artifacts)
        run.keep_identity("mlflow", made.started())
    except MlflowException as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"logger.tracking_uri={uri} cannot be used: {reason}") from error
    return made


class MLflowRun(MLFlowLogger):
    """An open MLflow run.

    Args:
        options: Of the group ``logger``.
        run: What is logged.
        uri: Of the server or file.
        artifacts: Where a new experiment keeps its files; None: where the server says.
    """

    def __init__(self, options: MLflow, run: LoggedRun, uri: str, artifacts: str | None) -> None:
        tags = {key: run.options[key] for key in ("model", "data") if key in run.options}
        super().__init__(
            options.experiment,
            run_name=run.name,
            tracking_uri=uri,
            tags={**tags, **({} if run.sweep is None else {"sweep": run.sweep})},
            artifact_location=artifacts,
            run_id=run.identity("mlflow"),
        )
        self.options = options
        self.histograms = options.histograms
        self.described = run.described
        self.resumed = run.identity("mlflow") is not None

    def started(self) -> str:
        """Start the run, or take it up; its id."""
        identity = self.run_id
        assert identity is not None
        if self.resumed:
            self.experiment.update_run(identity, status="RUNNING")
        else:
            self.log_hyperparams(self.described)
        return identity

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record an epoch's row."""
        for over, values in steps(metrics).items():
            super().log_metrics(values, int(metrics[over]))

    def log_distributions(
        self, distributions: Sequence[Distribution], axes: Mapping[str, int]
    ) -> None:
        """Record the ends of the quantiser's ranges, and the newest picture of the histograms."""
        ends = {name: value for item in distributions for name, value in item.ends.items()}
        super().log_metrics(ends, axes["epoch"])
        if distributions:
            self.experiment.log_image(self.run_id, draw(distributions), DRAWN)

    def log_results(self, results: Results) -> None:
        """Record pictures, the table of test images, the files and the numbers."""
        client, identity = self.experiment, self.run_id
        super().log_metrics(results.numbers, results.epochs)
        for name, value in results.facts.items():
            client.set_tag(identity, name, value)
        for path in results.strips:
            client.log_artifact(identity, str(path), PICTURES)
        if results.rows:
            heads = ["set", "image", *results.columns]
            rows: list[list[Any]] = [[*key, *cells] for key, cells in results.rows.items()]
            columns = {head: [row[place] for row in rows] for place, head in enumerate(heads)}
            client.log_table(identity, columns, TABLE)
        for path in results.files if self.options.log_files else []:
            client.log_artifact(identity, str(path), "model")
        for name, path in results.checkpoints.items():
            if self.options.log_checkpoints in (name, "both"):
                client.log_artifact(identity, str(path), "checkpoints")
