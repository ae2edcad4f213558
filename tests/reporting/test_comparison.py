"""The page of several runs in a real browser, and the numbers on it."""

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import ttest_rel
from skimage.data import coffee

from sr_experiments.reporting.comparison.differences import confidence_interval
from sr_experiments.reporting.comparison.members import gather
from sr_experiments.reporting.comparison.page import deliver_page, sweep_page
from sr_experiments.reporting.image_scores import as_csv
from sr_experiments.reporting.panels import panels_file, write_panels
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.reporting.scores import METRICS, SetScore

PHOTO = torch.from_numpy(coffee()[:240, :240].copy()).permute(2, 0, 1)
IMAGES = ("a", "b", "c")
BICUBIC = (30.0, 31.0, 32.0)
HOSTILE = "run_name=<img src=x onerror=alert(1)>$x^"


def job(folder: Path, name: str, int8: tuple[float, ...], ms: float, kib: float) -> None:
    """A finished run that enlarged three pictures; its INT8 file made them ``10 ms`` grey."""
    run = RunFolder(folder / name)
    run.path.mkdir(parents=True)
    run.write_config({"model": {"_target_": "sr_experiments.models.XLSR", "scale": 3}})
    (run.path / "overrides.yaml").write_text(f"- {name}\n")
    kinds = {"bicubic": BICUBIC, "fp32": tuple(value + 0.1 for value in int8), "int8": int8}
    scores = {
        kind: SetScore(
            {
                image: dict.fromkeys(METRICS, value)
                for image, value in zip(IMAGES, values, strict=True)
            }
        )
        for kind, values in kinds.items()
    }
    (run.path / "scores.csv").write_text(as_csv(name, 3, {"set5": scores}))
    run.write_summary(
        {
            "status": "finished",
            "model": "xlsr",
            "scale": 3,
            "test": {"set5": {kind: score.mean for kind, score in scores.items()}},
            "int8_drop": 0.1,
            "tflite_bytes": round(1024 * kib),
            "latency_ms": {"median": ms, "threads": 2},
        }
    )
    for epoch in range(3):
        run.append_metrics(
            {
                "epoch": epoch,
                "iteration": 10 * epoch + 10,
                "val/psnr": 30.0 + epoch,
                "val_int8/psnr": 29.9 + epoch,
                "val/int8_drop": 0.1,
            }
        )
    made = dict.fromkeys(("bicubic", "fp32"), PHOTO)
    made["int8"] = torch.full_like(PHOTO, round(10 * ms))
    write_panels(panels_file(run.path, "set5", "a"), PHOTO, made, 3)


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    folder = tmp_path / "study"
    job(folder, "seed=1", (32.0, 33.0, 34.0), 20, 50)
    job(folder, HOSTILE, (32.5, 33.7, 34.6), 5, 60)
    (folder / "seed=3").mkdir()
    (folder / "seed=3" / "summary.json").write_text('{"status": "failed", "reason": "<b>nan"}')
    return folder


def first_column(browser: Any) -> list[str]:
    script = "[...document.querySelector('table.sortable').tBodies[0].rows].map(r => r.cells[0]"
    found: list[str] = browser.run(f"{script}.textContent)")
    return found


def test_the_page_of_a_sweep_loads_sorts_and_tells_what_is_pointed_at(
    sweep: Path, browser: Any
) -> None:
    sweep_page(sweep, "python -m sr_experiments sweep=study")
    browser.open(sweep / "summary.html")
    assert first_column(browser) == [HOSTILE, "seed=1", "seed=3"]  # the best first
    kib = "[...document.querySelectorAll('table.sortable th button')].find(b => b.textContent"
    browser.run(f"{kib} === 'KiB').classList.add('kib')")
    browser.click(".kib")
    assert first_column(browser) == ["seed=1", HOSTILE, "seed=3"]
    browser.click(".kib")
    assert first_column(browser) == [HOSTILE, "seed=1", "seed=3"]  # without a number: last
    browser.click("#front-0-ms-1")
    said = browser.run("document.querySelector('.chart output').textContent")
    assert said == "seed=1: 33.00 dB, 20 ms, INT8 file on this CPU"
    assert browser.complaints() == []
    text = browser.run("document.body.innerText")
    assert "33.42" in text  # what the XLSR paper prints for Set5
    assert "python -m sr_experiments sweep=study" in text
    assert browser.run("document.querySelectorAll('body img[src=x], td b').length") == 0


def test_names_of_any_length_leave_the_charts_their_room(sweep: Path) -> None:
    long = "scheduler.peak=0.0013046789962977,scheduler.peak_at=0.34575755519441215,loss=l1"
    (sweep / "seed=1").rename(sweep / long)
    job(sweep, long.replace("l1", "mse"), (31.0, 31.5, 32.0), 3, 40)
    sweep_page(sweep, "")  # matplotlib warns where names take all the room
    drawn = re.findall(r"<text[^>]*>([^<]*)</text>", (sweep / "summary.html").read_text())
    assert "peak=0.0013,peak_at=0.346,loss=mse" in drawn
    assert max(map(len, drawn)) < len(long)


def test_the_slider_has_every_runs_versions_of_the_same_place(sweep: Path, browser: Any) -> None:
    sweep_page(sweep, "")
    browser.open(sweep / "summary.html")
    names = browser.run("[...document.querySelector('.choose-right').options].map(o => o.text)")
    versions = [name for name in names if not name.endswith(", error x8")]
    kinds = [f"{run} {kind}" for run in (HOSTILE, "seed=1") for kind in ("FP32", "INT8")]
    assert versions == ["bicubic", *kinds, "original"]
    for name, grey in ((f"{HOSTILE} INT8", 50), ("seed=1 INT8", 200)):
        browser.run(
            f"(() => {{ const e = document.querySelector('.choose-right'); e.value = {name!r};"
            "e.dispatchEvent(new Event('change')); })()"
        )
        browser.wait("[...document.images].every(image => image.complete)")
        seen = browser.pixels(".slider .stage")
        assert np.all(seen[:, -20:] == grey)


def test_a_phone_scrolls_tables_and_charts_inside_of_the_page(sweep: Path, browser: Any) -> None:
    sweep_page(sweep, "")
    browser.open(sweep / "summary.html", width=360, height=700, dark=True)
    assert browser.run("document.documentElement.scrollWidth") <= 360
    assert browser.pixels("h1").mean() < 128
    assert browser.complaints() == []


def test_two_runs_are_compared_picture_by_picture(sweep: Path, tmp_path: Path) -> None:
    members = gather([str(sweep / "seed=1"), str(sweep / HOSTILE)])
    assert [member.label for member in members] == ["seed=1", HOSTILE]
    deliver_page(members, "report", "two", "", tmp_path / "out", 3)
    page = (tmp_path / "out" / "report.html").read_text()
    text = " ".join(re.sub(r"<[^>]*>", " ", page).split())
    # The differences are 0.5, 0.7 and 0.6: mean 0.6, deviation 0.1, t(2) = 4.303.
    assert "INT8 +0.600 +0.352 +0.848 better 3 of 3 3" in text
    assert "b set5 33.10 33.80 +0.700 33.00 33.70 +0.700" in text
    for suffix in ("csv", "md", "tex"):
        assert (tmp_path / "out" / f"report.{suffix}").is_file()


def test_what_int8_does_to_each_layer_is_shown_of_runs_that_kept_it(sweep: Path) -> None:
    layer = {
        "name": "<i>tail", "operator": "conv 3x3", "channels": 27, "sqnr": 41.5, "own": 50.8,
        "kernel": 38.6, "saturated": 0.0, "range": [0.0, 1.0], "used": [0.1, 0.9],
        "shared": [], "share": 0.2,
    }  # fmt: skip
    (sweep / "seed=1" / "layers.json").write_text(json.dumps({"layers": [layer]}))
    sweep_page(sweep, "")
    page = (sweep / "summary.html").read_text()
    assert page.count("What INT8 does to each layer") == 1
    assert "<td>&lt;i&gt;tail</td>" in page
    assert "<td>41.5</td>" in page


def test_the_interval_is_that_of_the_paired_t_test() -> None:
    random = np.random.default_rng(1)
    ours, others = random.normal(32, 3, 14), random.normal(31.9, 3, 14)
    expected = ttest_rel(ours, others).confidence_interval(0.95)
    assert confidence_interval(list(ours - others)) == pytest.approx(tuple(expected))
    assert confidence_interval([0.3]) is None
    assert confidence_interval([0.3, 0.3]) == (0.3, 0.3)


def test_damaged_folders_have_a_row_and_break_no_page(sweep: Path) -> None:
    (sweep / "seed=1" / "scores.csv").write_text("set,runtime\nset5,int8\n")
    (sweep / "seed=1" / "metrics.csv").write_text("epoch,iteration,val/psnr\n0,x,1\n1,2,nan\n")
    (sweep / "seed=1" / "config.yaml").write_text(": [")
    (sweep / HOSTILE / "scores.csv").write_bytes(b"\xff\xfe")
    (sweep / HOSTILE / "metrics.csv").write_bytes(b"\xff\xfe\n")
    (sweep / HOSTILE / "overrides.yaml").write_bytes(b"\xff\xfe")
    (sweep / HOSTILE / "layers.json").write_text('{"layers": [{"name": 3}]}')
    sweep_page(sweep, "")
    page = (sweep / "summary.html").read_text()
    first_cells = re.findall(r"<tr>\s*<td[^>]*>([^<]*)</td>", page)
    assert {unescape(cell) for cell in first_cells[:3]} == {"seed=1", HOSTILE, "seed=3"}
    assert page.rstrip().endswith("</html>")
