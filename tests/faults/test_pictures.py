"""Pictures that vanish or change under a run, in their folder and in the cache."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from skimage import data
from whole import outcome, run_of

from sr_experiments import train
from sr_experiments.errors import UserError

MakeJob = Callable[..., train.Job]
Cut = Callable[[train.Job, int], None]
CUT_SHORT = """
import os, sys
from pathlib import Path
from sr_experiments import train
fit, cache = train.fit, Path(sys.argv[1])
def shortened(*args):
    for file in cache.glob("packed/*.safetensors"):
        os.truncate(file, 4096)
    return fit(*args)
train.fit = shortened
from sr_experiments.__main__ import main
main(sys.argv[2:])
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Five crops of a photo: four train, one validates."""
    folder = tmp_path / "photos"
    folder.mkdir()
    photo = Image.fromarray(data.astronaut())
    for number in range(5):
        photo.crop((90 * number, 60, 90 * number + 144, 204)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def job(photos: Path, make_job: MakeJob, tmp_path: Path) -> Callable[..., train.Job]:
    def make(name: str, *words: str) -> train.Job:
        # A cache of its own: it is damaged here.
        cache = f"paths.cache_dir={tmp_path / 'cache'}"
        places = ["data=folder", f"data.root={photos}", cache, "data.patch=16"]
        return make_job(tmp_path / name, "trainer.epochs=2", *places, *words)

    return make


@pytest.mark.parametrize("overlap", ["false", pytest.param("true", marks=pytest.mark.slow)])
def test_what_vanishes_under_a_run_does_not_change_it(
    overlap: str,
    job: Callable[..., train.Job],
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The process that measures beside the training begins after the robbery.
    word = f"callbacks.int8_drop.overlap={overlap}"
    whole, robbed = job("whole", word), job("robbed", word)
    train.run(whole)
    fit = train.fit

    def rob(*args: object) -> None:
        shutil.rmtree(photos)
        shutil.rmtree(tmp_path / "cache")
        fit(*args)  # INT8 ranges are calibrated and test pictures read after this

    monkeypatch.setattr(train, "fit", rob)
    train.run(robbed)
    assert not photos.exists()
    assert outcome(run_of(robbed)) == outcome(run_of(whole))


def edit(photos: Path) -> None:
    with Image.open(photos / "1.png") as picture:
        picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(photos / "1.png")


def remove(photos: Path) -> None:
    (photos / "2.png").unlink()


@pytest.mark.parametrize(
    ("change", "words", "crops"),
    [
        (
            edit,
            "4 images, .*, now 4 images",
            ("data.patch=52", "data.small=mirror"),
        ),  # all mirrored
        (remove, "then 4 .*, now 3 images", ()),
    ],
)
def test_a_run_does_not_go_on_with_other_pictures(
    change: Callable[[Path], None],
    words: str,
    crops: tuple[str, ...],
    job: Callable[..., train.Job],
    cut: Cut,
    photos: Path,
    tmp_path: Path,
) -> None:
    whole, changed = job("whole", *crops), job("changed", *crops)
    train.run(whole)
    cut(changed, 4)
    shutil.copytree(photos, tmp_path / "kept")
    change(photos)
    with pytest.raises(UserError, match=rf"pictures of data.train have changed since .*{words}"):
        train.run(changed)
    shutil.rmtree(photos)
    shutil.copytree(tmp_path / "kept", photos, copy_function=shutil.copyfile)  # times are new
    train.run(changed)
    assert outcome(run_of(changed)) == outcome(run_of(whole))


def test_a_picture_that_goes_while_its_set_is_looked_through_is_named(
    job: Callable[[str], train.Job], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = job("run")
    stat = Path.stat

    def gone(self: Path, **options: bool) -> os.stat_result:
        if self == photos / "1.png" and sys._getframe(1).f_code.co_name == "_content_key":
            (photos / "1.png").unlink()
        return stat(self, **options)

    monkeypatch.setattr(Path, "stat", gone)
    with pytest.raises(UserError, match=r"1\.png is gone: was the set changed just now\?"):
        train.run(made)
    assert not Path(made.config.paths.output_dir).exists()


@pytest.mark.slow
def test_a_cache_that_is_cut_short_under_a_run_is_named_and_can_be_made_anew(
    job: Callable[[str], train.Job], tmp_path: Path
) -> None:
    whole, shortened = job("whole"), job("shortened")
    train.run(whole)
    cache = tmp_path / "cache"
    command = [sys.executable, "-c", CUT_SHORT, str(cache), *shortened.overrides]
    assert subprocess.run(command, check=False).returncode == -signal.SIGBUS
    assert run_of(shortened).status() == "running"
    with pytest.raises(UserError, match=r"packed/.*safetensors is no packed set .*; delete it"):
        train.run(shortened)
    shutil.rmtree(cache)
    train.run(shortened)
    assert outcome(run_of(shortened)) == outcome(run_of(whole))
