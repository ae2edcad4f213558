"""MLflow's file, read back by MLflow itself."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sr_experiments.errors import UserError
from sr_experiments.reporting.loggers import LoggedRun, MLflow, closing, options


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r'pip install "sr_experiments\[mlflow\]"'):
        MLflow()


# The package and its database driver warn of their own next versions, and close late.
@pytest.mark.filterwarnings("ignore")
class TestWithTheStore:
    """One SQLite file."""

    @pytest.fixture
    def store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        pytest.importorskip("mlflow")
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return str(tmp_path / "runs" / "mlflow.db")

    def test_a_resumed_run_is_one_run_with_curves_results_and_files(
        self, run: LoggedRun, record: Callable[..., None], store: str
    ) -> None:
        from mlflow import MlflowClient

        record(MLflow(store=store).open(run), run, range(2))
        client = MlflowClient(f"sqlite:///{store}")
        experiment = client.get_experiment_by_name("sr_experiments")
        record(MLflow(store=store).open(run), run, range(2, 4))
        (found,) = client.search_runs([experiment.experiment_id])

        assert (found.info.run_name, found.info.status) == ("loss=l1", "FINISHED")
        assert found.data.tags["sweep"] == "losses"
        assert found.data.params["options/loss"] == "l1"

        def curve(name: str) -> list[tuple[int, float]]:
            return [(m.step, m.value) for m in client.get_metric_history(found.info.run_id, name)]

        assert curve("val/psnr") == [(0, 26), (1, 27), (2, 28), (3, 29)]
        assert curve("train/loss") == [(100, 0.5), (200, 0.375), (300, 0.25), (400, 0.125)]
        assert curve("ranges/weights/head/low") == [(1, -1.5), (3, -1.5)]
        assert curve("latency_ms") == [(4, 37.5)]
        assert curve("best/val/psnr") == [(4, 29)]

        files = {
            item.path
            for place in ("", "model", "strips", "checkpoints")
            for item in client.list_artifacts(found.info.run_id, place)
        }
        assert {
            "model/model_int8.tflite", "checkpoints/best.ckpt", "strips/photos_coffee.png",
            "test_images.json", "distributions.png",
        } <= files  # fmt: skip

    def test_a_failed_run_is_failed(self, run: LoggedRun, store: str) -> None:
        from mlflow import MlflowClient

        with pytest.raises(RuntimeError), closing(MLflow(store=store).open(run)):
            raise RuntimeError("no")
        client = MlflowClient(f"sqlite:///{store}")
        experiment = client.get_experiment_by_name("sr_experiments")
        (found,) = client.search_runs([experiment.experiment_id])
        assert found.info.status == "FAILED"

    def test_a_server_that_cannot_be_used_is_named(self, run: LoggedRun, store: str) -> None:
        with pytest.raises(UserError, match=r"logger.tracking_uri=nonsense://x cannot be used"):
            MLflow(tracking_uri="nonsense://x").open(run)
