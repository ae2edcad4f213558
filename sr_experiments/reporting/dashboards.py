"""A W&B workspace and a report of the runs of ``logger=wandb``, as code.

A workspace is what one opens to watch runs, a report is what one shows to others; both have the
same panels. Made anew, they are the same on every project.
"""

from dataclasses import dataclass
from typing import Any

from sr_experiments.errors import UserError
from sr_experiments.reporting.loggers.results import KEPT, PICTURES, SCORE
from sr_experiments.reporting.loggers.run import axis
from sr_experiments.reporting.loggers.weights_and_biases import DRAWN, TABLE

# Title, and the curves in it; each is drawn over the axis that its metric is logged over.
CURVES = {
    "PSNR, validation, dB": ["val/psnr"],
    "PSNR of the INT8 file, validation, dB": ["val_int8/psnr"],
    "Drop by INT8, dB": ["val/int8_drop"],
    "SSIM, validation": ["val/ssim"],
    "Training loss": ["train/loss"],
    "Learning rate": ["lr/network"],
}
# Numbers of the summary that PSNR is drawn against.
COSTS = {"milliseconds": "latency_ms", "KiB": "tflite_kib", "operations": "macs"}
OPTIONS = ("model", "loss", "quantization")
ROOTS = ("scale", "seed", "budget")
COLUMNS = 3


@dataclass(frozen=True)
class Dashboard:
    """What is built.

    Attributes:
        entity: W&B user or team.
        project: W&B project.
        title: Of workspace and report.
        data: Test set whose INT8 PSNR is drawn against costs; None: the validation images.
        group: Only the runs of this sweep; None: all.
    """

    entity: str
    project: str
    title: str
    data: str | None = None
    group: str | None = None

    @property
    def quality(self) -> str:
        """The number of the summary that stands for quality."""
        if self.data is None:
            return f"{KEPT}val_int8/psnr"
        return f"test/{self.data}/int8/{SCORE}"

    def sections(self) -> dict[str, list[Any]]:
        """Panels by the heading that they stand under."""
        import wandb_workspaces.reports.v2 as wr

        quality = wr.SummaryMetric(self.quality)
        curves = [
            wr.LinePlot(title=title, x=axis(names[0]), y=list(names), title_x=axis(names[0]))
            for title, names in CURVES.items()
        ]
        costs = [
            wr.ScatterPlot(
                title=f"INT8 PSNR against {words}",
                x=wr.SummaryMetric(key),
                y=quality,
                log_x=True,
            )
            for words, key in COSTS.items()
        ]
        column = wr.ParallelCoordinatesPlotColumn
        axes = [
            *(column(wr.Config(f"options.{name}"), display_name=name) for name in OPTIONS),
            *(column(wr.Config(name), display_name=name) for name in ROOTS),
            *(column(wr.SummaryMetric(key), log=True) for key in ("params", *COSTS.values())),
            column(wr.SummaryMetric("int8_drop"), inverted=True),
            column(quality),
        ]
        whole = wr.Layout(w=24, h=10)
        return {
            "Quality": curves,
            "Quality against cost": costs,
            "What makes the difference": [
                wr.ParallelCoordinatesPlot(
                    title="From options to INT8 PSNR", columns=axes, layout=whole
                )
            ],
            "Pictures": [
                wr.MediaBrowser(
                    title="Bicubic, FP32, INT8, original", media_keys=[PICTURES], layout=whole
                ),
                wr.WeavePanelSummaryTable(table_name=TABLE, layout=whole),
            ],
            "Ranges": [
                wr.MediaBrowser(
                    title="Weights and activations, and what the quantiser can say of them",
                    media_keys=[DRAWN],
                    num_columns=COLUMNS,
                    layout=whole,
                )
            ],
        }

    def workspace(self) -> Any:
        """The workspace, not saved."""
        import wandb_workspaces.workspaces as ws

        return ws.Workspace(
            entity=self.entity,
            project=self.project,
            name=self.title,
            sections=[
                ws.Section(name=name, panels=panels, is_open=True)
                for name, panels in self.sections().items()
            ],
            runset_settings=ws.RunsetSettings(filters=self._filter()),
        )

    def report(self, *, known: bool) -> Any:
        """The report, not saved.

        Args:
            known: Whether W&B can be asked for the project; otherwise the report's own is meant.
        """
        import wandb_workspaces.reports.v2 as wr

        place = {"entity": self.entity, "project": self.project} if known else {}
        blocks: list[Any] = [wr.TableOfContents()]
        for name, panels in self.sections().items():
            runs = wr.Runset(name=self.group or "All runs", filters=self._filter(), **place)
            blocks += [wr.H2(text=name), wr.PanelGrid(runsets=[runs], panels=panels)]
        return wr.Report(
            entity=self.entity,
            project=self.project,
            title=self.title,
            description="Made by python -m sr_experiments.dashboard",
            blocks=blocks,
            width="fluid",
        )

    def _filter(self) -> str:
        return "" if self.group is None else f"Group = '{self.group}'"

    def specification(self) -> dict[str, Any]:
        """What would be sent to W&B; no network is used."""
        made = {"workspace": self.workspace(), "report": self.report(known=False)}
        return {
            name: item._to_model().spec.model_dump(mode="json", by_alias=True, exclude_none=True)
            for name, item in made.items()
        }

    def save(self) -> dict[str, str]:
        """Make both on W&B.

        Returns:
            Their addresses.

        Raises:
            UserError: W&B cannot be reached, or does not take them.
        """
        try:
            made = {"workspace": self.workspace(), "report": self.report(known=True)}
            return {name: str(item.save().url) for name, item in made.items()}
        except Exception as error:  # the library raises plain exceptions, also of the network
            lines = str(error).splitlines() or [type(error).__name__]
            raise UserError(
                f"W&B did not take the dashboard of {self.entity}/{self.project}: {lines[0]}\n"
                "  write it to a file instead: dry_run=dashboard.json"
            ) from error
