"""What people install: the wheel by itself, away from the repository, in an empty home."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.data import coffee

ROOT = Path(__file__).resolve().parents[2]
SIZE = (96, 64)
KEPT = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "OMP_NUM_THREADS", "GOMP_SPINCOUNT")

# pip fetches the build backend.
pytestmark = [pytest.mark.slow, pytest.mark.network]


def psnr(one: Image.Image, other: Image.Image) -> float:
    difference = np.asarray(one, np.float64) - np.asarray(other, np.float64)
    return float(10 * np.log10(255**2 / np.mean(difference**2)))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what the wheel holds."""
    wheels, folder = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("installed")
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(wheels), str(ROOT)],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert built.returncode == 0, built.stderr[-2000:]
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_a_photo_is_enlarged_in_int8_and_in_fp32_by_the_wheel_alone(
    installed: Path, tmp_path: Path
) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    small = Image.fromarray(coffee()).resize(SIZE, Image.Resampling.LANCZOS)
    small.save(work / "photo.jpg", quality=95)
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment = kept | {"HOME": str(home), "PYTHONPATH": str(installed)}

    def python(*words: str) -> str:
        result = subprocess.run(
            [sys.executable, *words],
            cwd=work,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    where = python("-c", "import sr_experiments; print(sr_experiments.__file__)")
    assert Path(where.strip()).is_relative_to(installed)
    upscale = ["-m", "sr_experiments.upscale", "input=photo.jpg"]
    python(*upscale)
    python(*upscale, "runtime=fp32", "output=fp32.png")
    python(*upscale, "model=bicubic", "output=bicubic.png")  # which is found in conf/
    made = {path.name for path in work.iterdir()}
    assert made == {"photo.jpg", "photo_x3.png", "fp32.png", "bicubic.png"}
    int8, fp32 = (Image.open(work / name).convert("RGB") for name in ("photo_x3.png", "fp32.png"))
    assert int8.size == fp32.size == (3 * SIZE[0], 3 * SIZE[1])
    assert 28 < psnr(int8, fp32) < 60  # alike, and not of the same file
    for large in (int8, fp32):
        assert psnr(large.resize(SIZE, Image.Resampling.BOX), small) > 25
