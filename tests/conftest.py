"""Fixtures shared by all tests: real data beside the project, when it is there."""

import io
import os
import signal
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image

from sr_experiments.data.cifar10_store import CLASSES

if TYPE_CHECKING:
    from sr_experiments.training.job import Job

ROOT = Path(__file__).resolve().parent.parent
TINY = [
    "model=abpn",
    "model.channels=4",
    "model.num_blocks=1",
    "data.batch_size=2",
    "data.steps_per_epoch=3",
    "data.test=[]",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
]

os.environ.pop("HF_HUB_OFFLINE", None)  # tests have a hub of their own
for _name in ("no_proxy", "NO_PROXY"):  # their servers are on this machine
    os.environ[_name] = ",".join(filter(None, [os.environ.get(_name), "127.0.0.1"]))


@pytest.fixture(autouse=True)
def _same_random_numbers() -> None:
    """Torch's, whichever tests ran before: what fails once fails again."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def _plain_terminal() -> Iterator[None]:
    """What is printed has no colours, and the width that it has without a terminal."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture
def one_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Packed sets of all tests in one folder, not the user's."""
    monkeypatch.setenv("SR_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def forget_wandb() -> Callable[[pytest.MonkeyPatch, Path], None]:
    """Take W&B's settings and the user's key out of the environment, with a home of one's own."""

    def forget(patch: pytest.MonkeyPatch, home: Path) -> None:
        for name in list(os.environ):
            if name.startswith("WANDB_") or name == "NETRC":
                patch.delenv(name)
        patch.setenv("HOME", str(home))

    return forget


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """What a test starts hears Ctrl-C, to which a shell makes jobs in the background deaf."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


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


@pytest.fixture(scope="session")
def make_job(tmp_path_factory: pytest.TempPathFactory) -> "Callable[..., Job]":
    """A job of a tiny run that writes below a folder; further words as typed."""
    from sr_experiments.configuration.compose import check_with_choices
    from sr_experiments.training.job import Job

    cache = tmp_path_factory.getbasetemp() / "cache"

    def make(folder: Path, *words: str) -> "Job":
        paths = [f"paths.output_dir={folder / 'out'}", f"paths.cache_dir={cache}"]
        keys = {word.partition("=")[0] for word in words}
        tiny = [word for word in TINY if word.partition("=")[0] not in keys]
        overrides = [*tiny, *paths, *words]
        return Job(*check_with_choices(overrides), overrides)

    return make
