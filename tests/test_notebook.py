"""The notebook runs from a clean folder, and what is committed of it is the result of a run."""

from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="the extra notebook is not installed")
nbclient = pytest.importorskip("nbclient", reason="the extra notebook is not installed")
pytest.importorskip("ipykernel", reason="the extra notebook is not installed")

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "notebooks" / "quick_start.ipynb"


def printed(notebook: Any) -> str:
    """All that its cells printed."""
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    assert not [out for out in outputs if out["output_type"] == "error"]
    texts = [out.get("text") or out.get("data", {}).get("text/plain", "") for out in outputs]
    return "\n".join(texts)


def check(notebook: Any) -> None:
    said = printed(notebook)
    assert "cup_x3.png: x3 by litert int8" in said
    assert "xlsr_x3 on photos:test, x3, 1 image" in said
    assert "pretrained=xlsr_x3: copied" in said
    assert "epoch 1/1" in said
    assert "model_int8.tflite" in said


# Jupyter's own: its kernels talk over TCP, and its client and event loops are of several ages.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_every_cell_runs_in_an_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=":")
    monkeypatch.setenv("SR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.delenv("SR_DATA_DIR", raising=False)
    notebook = nbformat.read(FILE, as_version=4)
    place = {"metadata": {"path": str(tmp_path)}}
    client = nbclient.NotebookClient(notebook, timeout=600, startup_timeout=600, resources=place)
    client.execute()
    check(notebook)
    assert (tmp_path / "cup_x3.png").is_file()
    assert (tmp_path / "files" / "model_int8.tflite").is_file()


def test_the_committed_outputs_are_whole_and_light() -> None:
    notebook = nbformat.read(FILE, as_version=4)
    nbformat.validate(notebook)
    check(notebook)
    assert FILE.stat().st_size < 400_000
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [*range(1, len(code) + 1)]
