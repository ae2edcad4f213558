"""What one run is: a command line, composed into stages."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sr_experiments.configuration.stages import Stage, changes, plan
from sr_experiments.reporting.run_folder import RunFolder

# Words that a run's name has already, or that change nothing of what is measured.
UNTOLD = ("model=", "scale=", "run_name=", "resume=", "paths.", "logger", "hydra", "callbacks=")


@dataclass(frozen=True)
class Job:
    """A configuration and where its folder goes.

    Attributes:
        config: Composed configuration of the run.
        choices: Group to chosen option, such as ``model: xlsr``.
        overrides: As typed.
        sweep: Folder of the sweep and of this job within it; None for a single run.
    """

    config: DictConfig
    choices: Mapping[str, str]
    overrides: list[str]
    sweep: tuple[str, str] | None = None

    @cached_property
    def stages(self) -> list[Stage]:
        """The trainings of the run; one where it was given without stages.

        Raises:
            UserError: A stage is wrong; it is named.
        """
        return plan(self.overrides)

    @cached_property
    def resolved(self) -> dict[str, Any]:
        """Plain configuration; each stage's entry has what it changes, in ``resolved``.

        So a run folder's ``config.yaml`` is complete, whatever becomes of the options that a
        stage's words name.
        """
        plain = OmegaConf.to_container(self.config, resolve=True)
        assert isinstance(plain, dict)
        whole: dict[str, Any] = {str(key): value for key, value in plain.items()}
        if whole.get("stages") is not None:
            whole["stages"] = [
                {**entry, "resolved": changes(whole, stage)}
                for entry, stage in zip(whole["stages"], self.stages, strict=True)
            ]
        return whole

    def is_finished(self, folder: RunFolder) -> bool:
        """Whether a folder has this very run, so that there is nothing to do."""
        finished = folder.status() == "finished" and folder.matches(self.resolved)
        return bool(self.config.resume) and finished

    @property
    def outputs(self) -> Path:
        """Folder of all runs."""
        return Path(str(self.config.paths.output_dir))

    @property
    def name(self) -> str:
        """``run_name``, or model and scale."""
        enlarged = "" if self.scale is None else f"-x{self.scale}"
        return str(self.config.run_name or f"{self.choices['model']}{enlarged}")

    @property
    def label(self) -> str:
        """What differs from other runs: in a sweep what varies in it, else what was typed."""
        if self.sweep is not None:
            return self.sweep[1]
        told = [word for word in self.overrides if not word.lstrip("+~").startswith(UNTOLD)]
        return " ".join([self.name, *told])

    @property
    def scale(self) -> int | None:
        """Enlargement; None of a network that enlarges nothing."""
        return int(self.config.scale) if "scale" in self.config.model else None
