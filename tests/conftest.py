"""Fixtures shared by all tests: real data beside the project, when it is there."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr_experiments.data.cifar10_store import CLASSES

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder with ``train/`` and ``test/`` (Set5, Set14, ...); skips when there is none."""
    folder = Path(os.environ.get("SR_DATA_DIR") or ROOT.parent / "shared" / "data")
    if not (folder / "test" / "Set5").is_dir():
        pytest.skip(f"no Set5 in {folder}: set SR_DATA_DIR to a folder that has test/Set5")
    return folder


@pytest.fixture(scope="session")
def cifar10_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zip in the layout of CIFAR-10 as JPEGs: 12 noisy pictures a class train, 2 test."""
    random = np.random.default_rng(0)
    file = tmp_path_factory.mktemp("cifar10") / "cifar10_jpg.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for part, count in (("train", 12), ("test", 2)):
            for index, label in enumerate(CLASSES):
                for number in range(count):
                    colour = random.integers(256, size=3)
                    pixels = (0.6 * colour + random.integers(100, size=(32, 32, 3))).astype(
                        np.uint8
                    )
                    pixels[:3, :3] = 20 * index  # the class, where no test mirrors
                    out = io.BytesIO()
                    Image.fromarray(pixels).save(out, "jpeg", quality=95)
                    archive.writestr(f"{part}/{label}/{number:04}.jpg", out.getvalue())
    return file
