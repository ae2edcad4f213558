"""``hydra/launcher=batched``, here because Hydra takes launchers from ``hydra_plugins`` only.

Hydra imports this at every start, so it imports nothing of weight by itself.
"""

from collections.abc import Sequence

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.utils import JobReturn


class BatchedLauncher(BasicLauncher):
    """Runs the jobs of a sweep one after the other, those that are alike together.

    Args:
        runs: The most that train together; None: all that may.
        strict: Whether all must; the sweep refuses others before it comes here.
    """

    def __init__(self, runs: int | None = None, strict: bool = False) -> None:
        super().__init__()
        self.runs, self.strict = runs, strict

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Train the groups, then give every job its turn, which is over for these."""
        from sr_experiments.sweeping.group import train_groups
        from sr_experiments.sweeping.job import SweepJob

        assert isinstance(self.task_function, SweepJob)
        train_groups(self.task_function, [list(line) for line in job_overrides], self.runs)
        return super().launch(job_overrides, initial_job_idx)
