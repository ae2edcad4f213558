"""The slider of a run's page in a real browser, against the pictures it was made from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage.data import coffee

from sr_experiments.functional.resize import upscale
from sr_experiments.reporting.image_scores import as_csv, read_scores
from sr_experiments.reporting.page import write_page
from sr_experiments.reporting.panels import SIDE, panels_file, read_panels, write_panels
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.reporting.scores import SetScore
from sr_experiments.reporting.strips import busiest_crop, error_map

SCORES = {"psnr_y": 32.0, "ssim_y": 0.9, "psnr_rgb": 30.0, "ssim_rgb": 0.88}
PHOTO = torch.from_numpy(coffee()[:300, :400].copy()).permute(2, 0, 1)
BLURRED = upscale(torch.nn.functional.avg_pool2d(PHOTO.float(), 2).round().to(torch.uint8), 2)
PICTURES = {"bicubic": BLURRED, "fp32": PHOTO // 2 + 60, "int8": 255 - PHOTO}
STAGE, RIGHT = ".slider .stage", 20  # pixels beside the line that are no part of it


def crop(picture: torch.Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
    y, x = busiest_crop(PHOTO, SIDE, 2)
    return np.asarray(picture[:, y : y + SIDE, x : x + SIDE].permute(1, 2, 0))


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "xlsr-x2" / "<b>run")
    folder.path.mkdir(parents=True)
    folder.write_config({"model": {"_target_": "sr_experiments.models.XLSR", "scale": 2}})
    means = dict.fromkeys(PICTURES, SCORES)
    folder.write_summary({"scale": 2, "status": "finished", "test": {"photos": means}})
    names = ("cup", "</script><script>document.title='taken'</script>")
    sets = {"photos": {kind: SetScore(dict.fromkeys(names, SCORES)) for kind in PICTURES}}
    (folder.path / "scores.csv").write_text(as_csv("xlsr", 2, sets))
    for name in names:
        write_panels(panels_file(folder.path, "photos", name), PHOTO, PICTURES, 2)
    return folder


def test_panels_come_back_pixel_by_pixel(run: RunFolder) -> None:
    panels = read_panels(run.path, read_scores(run.path))["photos", "cup"]
    for panel, expected in zip(panels, [*PICTURES.values(), PHOTO], strict=True):
        assert np.array_equal(np.asarray(panel), crop(expected))


def test_panels_that_are_no_picture_or_lie_elsewhere_are_left_out(run: RunFolder) -> None:
    panels_file(run.path, "photos", "cup").write_bytes(b"RIFF")
    assert len(read_panels(run.path, read_scores(run.path))) == 1
    assert panels_file(run.path, "..", "../../x").parent == run.path / "images" / "panels"


def test_dragging_the_line_shows_more_of_the_left_picture(run: RunFolder, browser: Any) -> None:
    browser.open(write_page(run))
    assert browser.run("document.title").startswith("XLSR x2")
    browser.run("document.querySelector('.slider').style.width = '240px'")  # one to one
    left, top, width, height = browser.box(STAGE)
    assert (width, height) == (SIDE, SIDE)
    for place in (0.5, 0.25, 0.8):
        line = browser.box(".slider .handle")
        start = (line[0] + line[2] / 2, top + 20)
        browser.drag(start, (left + place * width, top + 20))
        seen = browser.pixels(STAGE)
        edge = round(place * SIDE)
        assert np.array_equal(seen[:, : edge - RIGHT], crop(PICTURES["bicubic"])[:, : edge - RIGHT])
        assert np.array_equal(seen[:, edge + RIGHT :], crop(PICTURES["int8"])[:, edge + RIGHT :])
    assert browser.complaints() == []


def test_errors_are_those_of_the_strips(run: RunFolder, browser: Any) -> None:
    browser.open(write_page(run))
    browser.run("document.querySelector('.slider').style.width = '240px'")
    browser.run(
        "(() => { const e = document.querySelector('.choose-right'); e.value = 'FP32, error x8';"
        "e.dispatchEvent(new Event('change')); })()"
    )
    browser.wait("[...document.images].every(image => image.complete)")
    seen = browser.pixels(STAGE)[:, SIDE // 2 + RIGHT :]
    expected = crop(error_map(PICTURES["fp32"], PHOTO))[:, SIDE // 2 + RIGHT :]
    assert np.abs(seen.astype(int) - expected).max() <= 1


def test_zoom_and_pan_move_both_sides_and_the_errors_in_step(run: RunFolder, browser: Any) -> None:
    browser.open(write_page(run))
    browser.run("document.querySelector('.slider').style.width = '240px'")
    browser.click(".slider .zoom-in")
    left, top, _, _ = browser.box(STAGE)
    browser.drag((left + 60, top + 60), (left + 90, top + 40))  # the middle half, moved
    seen = browser.pixels(STAGE)
    # At 2x the stage shows half a picture: from 60 - 30 / 2 on across, from 60 + 20 / 2 on down.
    for name, part in (("bicubic", slice(0, 100)), ("int8", slice(140, 240))):
        twice = crop(PICTURES[name])[70:190, 45:165].repeat(2, 0).repeat(2, 1)
        assert np.array_equal(seen[:, part], twice[:, part])
    moved = browser.run(
        "new Set([...document.querySelectorAll('.slider .pane img')].map(image =>"
        "  getComputedStyle(image).transform.split(',')[0])).size"
    )
    assert moved == 1
    browser.click(".slider .reset")
    assert np.array_equal(browser.pixels(STAGE)[:, :100], crop(PICTURES["bicubic"])[:, :100])


def test_names_out_of_a_folder_are_text_and_pass_no_script(run: RunFolder, browser: Any) -> None:
    page = write_page(run)
    page.write_text(page.read_text().replace("<h1>", "<script>document.title='taken'</script><h1>"))
    browser.open(page)
    assert browser.run("document.title") != "taken"
    assert len(browser.complaints()) == 1  # the policy refused it


def test_a_phone_scrolls_in_one_direction_only(run: RunFolder, browser: Any) -> None:
    browser.open(write_page(run), width=360, height=700, dark=True)
    assert browser.run("document.documentElement.scrollWidth") <= 360
    assert browser.pixels("h1").mean() < 128
