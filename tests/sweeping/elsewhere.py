"""``hydra/launcher=submitit_slurm`` where there is no Slurm: by submitit's own stand-ins."""

from collections.abc import Sequence
from typing import Any, ClassVar
from unittest import mock

import submitit
from hydra.core.utils import JobReturn
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher


class Elsewhere(SlurmLauncher):  # type: ignore[misc]
    cluster: ClassVar[str]

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        executor = submitit.AutoExecutor

        def made(cluster: str, **options: Any) -> submitit.AutoExecutor:
            assert cluster == "slurm"
            return executor(cluster=self.cluster, **options)

        with mock.patch.object(submitit, "AutoExecutor", made):
            jobs: Sequence[JobReturn] = super().launch(job_overrides, initial_job_idx)
        return jobs


class LocalSlurm(Elsewhere):
    """Each job in a process of its own, as Slurm starts it."""

    cluster = "local"


class DebugSlurm(Elsewhere):
    """Each job in the process that submits it."""

    cluster = "debug"
