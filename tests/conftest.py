"""Fixtures shared by all tests: real data beside the project, when it is there."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder with ``train/`` and ``test/`` (Set5, Set14, ...); skips when there is none."""
    folder = Path(os.environ.get("SR_DATA_DIR") or ROOT.parent / "shared" / "data")
    if not (folder / "test" / "Set5").is_dir():
        pytest.skip(f"no Set5 in {folder}: set SR_DATA_DIR to a folder that has test/Set5")
    return folder
