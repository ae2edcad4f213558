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
LAUNCHERS = {
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "ray": [
        "hydra/launcher=ray",
        "+hydra.launcher.ray.init.num_cpus=2",
        "+hydra.launcher.ray.init.include_dashboard=false",
        "+hydra.launcher.ray.remote.num_cpus=1",
    ],
    "submitit": ["hydra/launcher=submitit_local", "hydra.launcher.cpus_per_task=1"],
}
pytestmark = pytest.mark.slow


def sweep(folder: Path, *words: str) -> list[dict[str, str]]:
    """The table of three jobs, the second of which fails."""
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
        "+callbacks.loose={_target_: misfortunes.Misfortune, seed: ${seed}, kind: memory, only: 2}",
        f"paths.output_dir={folder / 'out'}",
        f"paths.cache_dir={folder / 'cache'}",
    ]
    path = os.pathsep.join([str(HERE), *sys.path])
    ended = subprocess.run(
        [sys.executable, "-m", "sr_experiments", "-m", *common, *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
        timeout=1200,
        cwd=folder,
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "1 of 3 jobs failed" in ended.stderr
    with (folder / "out" / "multirun" / "summary.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k not in MACHINES} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def basic(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    return sweep(tmp_path_factory.mktemp("basic"))


@pytest.mark.parametrize("name", LAUNCHERS)
def test_every_launcher_gives_the_same_table(
    name: str, basic: list[dict[str, str]], tmp_path: Path
) -> None:
    try:
        version(f"hydra-{name}-launcher")
    except PackageNotFoundError:
        pytest.skip(f"hydra-{name}-launcher is not installed")
    assert [row["status"] for row in basic].count("finished") == 2
    assert "SIGKILL" in next(row["reason"] for row in basic if row["job"] == "seed=2")
    assert sweep(tmp_path, *LAUNCHERS[name]) == basic
