"""One W&B run per job, resumed into the same run, closed with an exit code.

The run is made here rather than by Lightning's logger, which would leave ``WANDB_MODE`` behind in
the environment and draw everything over a step of its own. W&B's internal step is the epoch: an
epoch that a killed run had recorded, and a resumed one trains again, is recorded once.

Offline, each start leaves a folder of its own with the same run id; ``wandb sync`` of them all
uploads them in order of time into one run.
"""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import wandb
from lightning.pytorch.loggers import WandbLogger

from sr_experiments.errors import UserError
from sr_experiments.reporting.distributions import Distribution, draw
from sr_experiments.reporting.loggers.options import WandB, has_key
from sr_experiments.reporting.loggers.results import KEPT, PICTURES, Results
from sr_experiments.reporting.loggers.run import OVER_EPOCHS, OVER_ITERATIONS, LoggedRun
from sr_experiments.tasks.turns import current_seat

if TYPE_CHECKING:
    from wandb import Run

LONGEST_NAME, LONGEST_TAG = 128, 64  # characters that W&B takes
TABLE, DRAWN = "test_images", "distributions"


def open_run(options: WandB, run: LoggedRun) -> "list[WandbRun]":
    """Start a W&B run, or go on in it.

    Raises:
        UserError: W&B cannot be reached, or refuses the key.
    """
    mode, reason = _mode(options)
    if mode == "disabled":
        return []
    offline = mode == "offline"
    where: dict[str, Any] = {
        "project": options.project,
        "entity": options.entity,
        "id": run.identity("wandb") or os.urandom(4).hex(),
    }
    # Runs of a process that train as one network are open side by side.
    reinit: Any = "default" if current_seat() is None else "create_new"
    try:
        made = wandb.init(
            # W&B's agent has decided on project and id of the runs that it starts.
            **({} if os.environ.get("WANDB_SWEEP_ID") else where),
            name=run.name[:LONGEST_NAME],
            group=options.group or run.sweep,
            tags=_tags(options, run),
            notes=options.notes,
            dir=run.folder,
            resume="allow",
            config=run.described,
            # Offline W&B has four lines to say, of which one is of use.
            settings=wandb.Settings(mode=mode, silent=offline, quiet=True, reinit=reinit),
        )
    except wandb.errors.Error as error:
        raise UserError(f"W&B cannot be used: {error}\n  add logger.mode=offline") from error
    run.keep_identity("wandb", made.id)
    for names, over in ((OVER_ITERATIONS, "iteration"), (OVER_EPOCHS, "epoch")):
        made.define_metric(over)
        for name in names:
            made.define_metric(name if "*" in name else f"{name}/*", step_metric=over)
    if options.save_code:
        made.log_code(str(Path(__file__).parents[2]))
    if offline:
        folders = f"{shlex.quote(str(run.folder / 'wandb'))}/offline-run-*"
        print(f"W&B is offline ({reason}); upload with: wandb sync {folders}")
    else:
        print(f"W&B: {made.url}")
    return [WandbRun(made, options, run.folder)]


def _mode(options: WandB) -> tuple[Any, str]:
    """``online``, ``offline`` or ``disabled``, and why."""
    wished = os.environ.get("WANDB_MODE", "").replace("dryrun", "offline")
    if options.mode is not None:
        return options.mode, f"logger.mode={options.mode}"
    if wished in ("offline", "disabled"):
        return wished, f"WANDB_MODE={wished}"
    return ("online", "") if has_key() else ("offline", "no key")


def _tags(options: WandB, run: LoggedRun) -> list[str]:
    """What runs are looked for by."""
    groups = [run.options[key] for key in ("model", "quantization", "data") if key in run.options]
    scale = run.config.get("scale")
    enlarged = [f"x{scale}"] if "scale" in run.config.get("model", {}) else []
    found = [*groups, *enlarged, *options.tags]
    return [tag[:LONGEST_TAG] for tag in dict.fromkeys(found)]


class WandbRun(WandbLogger):
    """An open W&B run.

    Args:
        run: As `open_run` made it.
        options: Of the group ``logger``.
        folder: The run folder.
    """

    def __init__(self, run: "Run", options: WandB, folder: Path) -> None:
        super().__init__(experiment=run, project=options.project, save_dir=folder)
        self.run = run
        self.options = options
        self.histograms = options.histograms

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record an epoch's row."""
        self.run.log(dict(metrics), step=int(metrics["epoch"]))

    def log_distributions(
        self, distributions: Sequence[Distribution], axes: Mapping[str, int]
    ) -> None:
        """Record histograms, the ends of the quantiser's ranges, and a picture of both."""
        row: dict[str, Any] = dict(axes)
        for item in distributions:
            row[item.name] = wandb.Histogram(np_histogram=(item.counts, item.edges))
            row |= item.ends
        if distributions:
            row[DRAWN] = wandb.Image(draw(distributions))
        self.run.log(row, step=axes["epoch"])

    def log_results(self, results: Results) -> None:
        """Record pictures, the table of test images, the files and the summary."""
        row: dict[str, Any] = {}
        if results.strips:
            row[PICTURES] = [wandb.Image(str(path), caption=path.stem) for path in results.strips]
        if results.rows:
            table = wandb.Table(columns=["set", "image", "strip", *results.columns])
            for (name, image), cells in results.rows.items():
                strip = results.strip(name, image)
                table.add_data(name, image, strip and wandb.Image(str(strip)), *cells)
            row[TABLE] = table
        self.run.log(row, step=results.epochs)
        if self.options.log_files and results.files:
            self._keep("model", "model", results.files, results.numbers)
        wanted = self.options.log_checkpoints
        for name, file in results.checkpoints.items():
            if wanted in (name, "both"):
                self._keep(f"checkpoint_{name}", "checkpoint", [file], {})
        # Tables and sweeps of W&B read a metric's name, and would read its last epoch there.
        kept = {
            name.removeprefix(KEPT): value
            for name, value in results.numbers.items()
            if name.startswith(KEPT)
        }
        self.run.summary.update({**results.numbers, **kept, **results.facts})

    def _keep(self, name: str, kind: str, files: Sequence[Path], facts: Mapping[str, Any]) -> None:
        artifact = wandb.Artifact(f"{name}-{self.run.id}", kind, metadata=dict(facts))
        for file in files:
            # The run folder keeps these files: nothing is copied.
            artifact.add_file(str(file), policy="immutable", skip_cache=True)
        self.run.log_artifact(artifact)

    def finalize(self, status: str) -> None:
        """Close the run; nothing of it stays in this process when no other run is left there.

        W&B would wait for its service when the interpreter exits, which the processes of a sweep's
        jobs never do in the usual way.
        """
        self.run.finish(exit_code=int(status != "success"))
        seat = current_seat()
        if seat is None or seat.is_last:
            wandb.teardown()
