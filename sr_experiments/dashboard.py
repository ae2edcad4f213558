"""``python -m sr_experiments.dashboard``: a W&B workspace and a report of the runs, as code."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sr_experiments.configuration.entry import run_verb
from sr_experiments.configuration.verbs import parse
from sr_experiments.errors import UserError


@dataclass
class Options:
    """Build a W&B workspace and a report of the runs that logger=wandb recorded.

      python -m sr_experiments.dashboard entity=me
      python -m sr_experiments.dashboard entity=me project=sr_experiments group=zoo data=set5
      python -m sr_experiments.dashboard entity=me dry_run=dashboard.json

    Curves of PSNR, INT8 PSNR, drop, loss and learning rate; PSNR against milliseconds, KiB and
    operations; parallel coordinates from options to PSNR; strips, the table of test images, and
    histograms with the quantiser's ranges.

    entity     W&B user or team
    project    W&B project
    title      of workspace and report
    group      only the runs of this sweep
    data       test set whose INT8 PSNR is drawn against costs; null: the validation images
    dry_run    write the specification to this file and send nothing; needs no key
    """

    entity: str = "???"
    project: str = "sr_experiments"
    title: str = "Super-resolution networks in INT8"
    group: str | None = None
    data: str | None = None
    dry_run: str | None = None


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command line."""
    options = parse(Options, argv)
    if importlib.util.find_spec("wandb_workspaces") is None:
        raise UserError('the dashboard needs a package: pip install "sr_experiments[dashboard]"')
    from sr_experiments.files import write_json
    from sr_experiments.reporting.dashboards import Dashboard
    from sr_experiments.reporting.loggers.options import has_key

    made = Dashboard(options.entity, options.project, options.title, options.data, options.group)
    if options.dry_run is not None:
        write_json(Path(options.dry_run), made.specification())
        print(f"{options.dry_run}: workspace and report, not sent")
        return
    if not has_key():
        raise UserError("no W&B key: log in with wandb login, or add dry_run=dashboard.json")
    for name, address in made.save().items():
        print(f"{name}: {address}")


if __name__ == "__main__":
    run_verb(main)
