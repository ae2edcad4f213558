"""The same sweep through every launcher that is installed: the same folders, the same table."""

import csv
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
MACHINES = ("ms", "seconds")  # what depends on how busy the machine is
SLURM = ["hydra/launcher=submitit_slurm", "hydra.launcher.cpus_per_task=1"]
LAUNCHERS = {
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "ray": [
        "hydra/launcher=ray",
        "+hydra.launcher.ray.init.num_cpus=2",
        "+hydra.launcher.ray.init.include_dashboard=false",
        "+hydra.launcher.ray.remote.num_cpus=0.5",
    ],
    "submitit local": [*SLURM, "hydra.launcher._target_=hydra_plugins.elsewhere.Local"],
    "submitit debug": [*SLURM, "hydra.launcher._target_=hydra_plugins.elsewhere.Debug"],
}
STRUCK = "_target_: misfortunes.Misfortune, seed: ${seed}, only: 2"
LOST = f"+callbacks.loose={{{STRUCK}, kind: memory}}"
CLUSTER = """
import subprocess, sys
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1)
try:
    address = f"hydra.launcher.ray.init.address='{cluster.address}'"
    command = [sys.executable, "-m", "sr_experiments", *sys.argv[1:], address]
    sys.exit(subprocess.run(command).returncode)
finally:
    cluster.shutdown()
"""
# submitit_slurm with submitit's own stand-ins for Slurm. Hydra takes launchers from plugins only.
ELSEWHERE = """
from unittest import mock
import submitit
from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher

class Local(SlurmLauncher):
    cluster = "local"

    def launch(self, job_overrides, initial_job_idx):
        made = submitit.AutoExecutor

        def elsewhere(cluster, **options):
            assert cluster == "slurm"
            return made(cluster=self.cluster, **options)

        with mock.patch.object(submitit, "AutoExecutor", elsewhere):
            return super().launch(job_overrides, initial_job_idx)

class Debug(Local):
    cluster = "debug"
"""
pytestmark = pytest.mark.slow


def sweep(
    folder: Path, *words: str, start: tuple[str, ...] = ("-m", "sr_experiments")
) -> tuple[subprocess.CompletedProcess[str], list[dict[str, str]]]:
    """Three jobs of a step, and their table."""
    common = [
        "seed=1,2,3",
        "model=abpn",
        "model.channels=4",
        "model.num_blocks=1",
        "data.batch_size=2",
        "data.steps_per_epoch=2",
        "data.test=[photos:test]",
        "trainer.epochs=1",
        "trainer.threads=1",
        "trainer.accelerator=cpu",
        f"paths.output_dir={folder / 'out'}",
        f"paths.cache_dir={folder / 'cache'}",
    ]
    ended = subprocess.run(
        [sys.executable, *start, "-m", *common, *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(folder), *sys.path])},
        timeout=1800,
        cwd=folder,
    )
    table = folder / "out" / "multirun" / "summary.csv"
    assert table.is_file(), ended.stdout + ended.stderr
    with table.open(newline="") as file:
        rows = [{k: v for k, v in row.items() if k not in MACHINES} for row in csv.DictReader(file)]
    return ended, rows


def need(launcher: str) -> None:
    try:
        version(f"hydra-{launcher}-launcher")
    except PackageNotFoundError:
        pytest.skip(f"hydra-{launcher}-launcher is not installed")


@pytest.fixture(scope="module")
def basic(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    ended, rows = sweep(tmp_path_factory.mktemp("basic"), LOST)
    assert ended.returncode == 1, ended.stderr
    assert [row["status"] for row in rows].count("finished") == 2
    assert "SIGKILL" in next(row["reason"] for row in rows if row["job"] == "seed=2")
    return rows


@pytest.mark.parametrize("name", LAUNCHERS)
def test_every_launcher_gives_the_same_table(
    name: str, basic: list[dict[str, str]], tmp_path: Path
) -> None:
    need(name.split(" ")[0])
    if "submitit" in name:
        (tmp_path / "hydra_plugins").mkdir()
        (tmp_path / "hydra_plugins" / "elsewhere.py").write_text(ELSEWHERE)
    ended, rows = sweep(tmp_path, LOST, *LAUNCHERS[name])
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "1 of 3 jobs failed" in ended.stderr
    assert rows == basic


def test_a_job_whose_ray_worker_is_killed_is_finished_on_a_cluster_of_two_nodes(
    basic: list[dict[str, str]], tmp_path: Path
) -> None:
    need("ray")
    once = tmp_path / "struck"
    ended, rows = sweep(
        tmp_path,
        f"+callbacks.loose={{{STRUCK}, kind: kill, once: '{once}'}}",
        "hydra/launcher=ray",
        "+hydra.launcher.ray.init.object_store_memory=null",  # the cluster has its own
        "+hydra.launcher.ray.remote.num_cpus=1",
        start=("-c", CLUSTER),
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert once.exists()
    assert [row["status"] for row in rows] == ["finished"] * 3
    # Those that were not struck have the numbers of any other launcher.
    numbers = {row["job"]: {**row, "rank": ""} for row in rows}
    for row in basic:
        if row["status"] == "finished":
            assert numbers[row["job"]] == {**row, "rank": ""}
