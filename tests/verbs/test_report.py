"""Tables by one command each: what is printed beside what is measured."""

import csv
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from skimage.data import coffee

from sr_experiments import evaluate
from sr_experiments.deploy.latency import compare_latency
from sr_experiments.errors import UserError
from sr_experiments.report import main
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.reporting.tables import mobile_ai


def table(output: Path, name: str, *words: str) -> list[dict[str, str]]:
    main([f"table={name}", f"output={output}", *words])
    with (output / f"{name}.csv").open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def summarise(folder: Path, model: str, **values: Any) -> None:
    """A finished run's folder, as small as a table needs it."""
    scores = {"psnr_y": 30.0, "ssim_y": 0.9, "psnr_rgb": 29.0, "ssim_rgb": 0.85}
    run = RunFolder(folder / f"model={model}")
    run.path.mkdir(parents=True)
    run.write_config({"model": {}, "data": {"train": ["photos:train"]}, "quantization": {}})
    run.write_summary(
        {
            "status": "finished",
            "model": model,
            "scale": 3,
            "train": {"steps": 5000},
            "test": {"photos": {"fp32": {**scores, "psnr_rgb": 29.5}, "int8": scores}},
            "int8_drop": 0.125,
            "tflite_bytes": 43_520,
            "latency_ms": {"threads": 2, "size": "640x360", "median": 40.0, "spread": 1.0},
            **values,
        }
    )


def test_table_1_of_the_xlsr_paper_has_our_counts_beside_its_own(tmp_path: Path) -> None:
    rows = {row["method"]: row for row in table(tmp_path, "xlsr_1")}
    assert {name: (row["paper"], row["ours"], row["agrees"]) for name, row in rows.items()} == {
        "EDSR": ("43M", "43680003", "no"),
        "WDSR": ("75M", "75575199", "no"),
        "VDSR": ("668K", "668227", "yes"),
        "IMDN": ("500K", "703059", "no"),
        "FSRCNN": ("25K", "24683", "yes"),
        "ESPCN": ("31K", "31131", "yes"),
        "XLSR": ("22K", "21947", "yes"),
    }
    assert all(row["remark"] for row in rows.values() if row["agrees"] == "no")


def test_the_challenges_table_is_filled_from_the_summaries_of_runs(
    tmp_path: Path, cache_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summarise(tmp_path / "runs", "hopn")
    summarise(tmp_path / "runs", "abpn", latency_ms=None, tflite_bytes=None, int8_drop=None)
    words = [f"runs={tmp_path}/runs", f"cache_dir={cache_dir}"]
    rows = {row["team"]: row for row in table(tmp_path / "out", "mobile_ai_2022", *words)}
    assert len(rows) == 27
    row = rows["LCVG"]
    assert (row["report_kib"], float(row["kib"])) == ("48", 42.5)
    assert (row["report_psnr"], row["psnr"], row["ssim"]) == ("29.76", "29.0", "0.85")
    assert (row["report_drop"], row["drop"]) == ("0.11", "0.125")
    assert (row["report_cpu_ms"], row["ms"]) == ("787", "40.0")
    # 2^(2 29) / (10 2^48 40) = 2^10 / 400
    assert float(row["score"]) == pytest.approx(1024 / 400)
    row = rows["ABPN (baseline)"]
    assert (row["psnr"], row["ms"], row["score"]) == ("29.0", "", "")
    assert rows["Z6"]["remark"] == "not trained here"
    assert rows["MegSR"]["report_drop"] == "n.a."
    bicubic = rows["Bicubic upscaling (baseline)"]
    assert float(bicubic["psnr"]) == pytest.approx(26.92, abs=0.005)  # as every run measures it
    printed = capsys.readouterr().out
    assert "PSNR and SSIM on photos" in printed
    assert "Ours: 2 runs, 5,000 steps on photos." in printed


def test_the_files_of_the_challenges_runs_are_timed_in_turn(
    run: Path,
    tmp_path: Path,
    cache_dir: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def compared(runtimes: list[Any], *options: Any) -> list[Any]:
        assert all(latency.median > 0 for latency in compare_latency(runtimes, *options))
        names = [runtime.name for runtime in runtimes]
        return [
            SimpleNamespace(median={"litert int8": 20.0, "litert fp32": 50.0}[n]) for n in names
        ]

    monkeypatch.setattr(mobile_ai, "compare_latency", compared)
    summarise(tmp_path / "runs", "hopn")
    for name in ("model_int8.tflite", "model_fp32.tflite"):
        shutil.copy(run / name, tmp_path / "runs" / "model=hopn")
    words = [f"runs={tmp_path}/runs", f"cache_dir={cache_dir}", "repeats=1", "threads=1"]
    rows = {row["team"]: row for row in table(tmp_path / "out", "mobile_ai_2022", *words)}
    row = rows["LCVG"]
    assert (row["report_cpu_ms"], row["report_npu_ms"], row["report_speed_up"]) == (
        "787", "15.0", "52.5",
    )  # fmt: skip
    assert (row["ms"], row["speed_up"]) == ("20.0", "2.5")  # not 40 ms, of the summary
    assert float(row["score"]) == pytest.approx(1024 / 10 / 20)
    printed = " ".join(capsys.readouterr().out.split())
    assert "Our times of 1 network, and" in printed
    assert "times and scores are of the CPU that each run" not in printed


def test_a_set_that_is_not_at_hand_is_printed_as_such(tmp_path: Path) -> None:
    summarise(tmp_path / "runs", "hopn")
    words = [f"runs={tmp_path}/runs", "data=urban100", f"data_dir={tmp_path}"]
    words.append(f"cache_dir={tmp_path}/cache")
    rows = {row["team"]: row for row in table(tmp_path / "out", "mobile_ai_2022", *words)}
    assert rows["LCVG"]["remark"].endswith("not tested on urban100")
    assert rows["Bicubic upscaling (baseline)"]["remark"] == "not at hand: urban100"


def test_table_4_of_the_xlsr_paper_scores_bicubic_and_runs_on_the_sets_at_hand(
    run: Path, data_dir: Path, cache_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "Set5").symlink_to(data_dir / "test" / "Set5")
    words = [f"runs={run}", f"data_dir={tmp_path}", f"cache_dir={cache_dir}"]
    rows = table(tmp_path / "out", "xlsr_4", *words)
    found = {(row["set"], row["whose"]): row for row in rows}
    assert found["set5", "paper"]["xlsr"] == "33.42"
    ours = found["set5", "ours"]
    assert round(float(ours["bicubic"]), 2) == 30.39
    assert 10 < float(ours["xlsr"]) < 33
    assert ours["vdsr"] == "-"
    assert ("b100", "not at hand: b100") in found
    assert ("div2k:val (RGB)", "not at hand: div2k") in found
    assert "Not trained here: FSRCNN, ESPCN, VDSR, IMDN, EDSR." in capsys.readouterr().out


def test_the_zoos_files_say_how_to_make_them_again(tmp_path: Path) -> None:
    words = ["models=[xlsr,abpn]", "repeats=0", "scale=2"]
    main(["table=zoo", f"output={tmp_path}", *words])
    for suffix in ("csv", "md", "html"):
        assert (tmp_path / f"zoo_x2.{suffix}").is_file()
    text = (tmp_path / "zoo_x2.md").read_text(encoding="utf-8")
    assert f"python -m sr_experiments.report table=zoo output={tmp_path}" in text
    assert "| xlsr | XLSR (Ayazoglu, 2021) | 17,612 |" in text


def test_the_figure_writes_a_strip_of_each_picture(
    run: Path, tmp_path: Path, cache_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    Image.fromarray(coffee()[90:240, 200:410]).save(tmp_path / "mine" / "cup.png")
    words = [f"runs={run}", "data=folder", f"root={tmp_path}/mine", f"cache_dir={cache_dir}"]
    main(["figure=xlsr_4", f"output={tmp_path}/out", *words])
    (strip,) = (tmp_path / "out" / "figure_xlsr_4").iterdir()
    assert strip.name == "folder_cup.png"
    assert f"written: {strip} (mean colour off by" in capsys.readouterr().out


def test_runs_alone_get_their_page_again(tmp_path: Path) -> None:
    summarise(tmp_path, "xlsr", params=21_947, macs=4_980_326_400, test={})
    main([f"runs={tmp_path}"])
    assert "21,947" in (tmp_path / "model=xlsr" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["table=zoos"], "table=zoos does not exist\n  known: zoo, xlsr_1, xlsr_2"),
        (["figure=xlsr_1"], "figure=xlsr_1 does not exist\n  known: xlsr_4"),
        ([], "say what: table=zoo|xlsr_1|xlsr_2"),
        (["table=zoo", "figure=xlsr_4"], "one at a time"),
        (["table=xlsr_1", "scale=2"], "scale= is not for table=xlsr_1"),
        (["figure=xlsr_4"], "name their runs with runs="),
        (["table=zoo", "models=xlrs"], "model=xlrs does not exist"),
        (["table=zoo", "repeats=-1"], "repeats=-1 is below 0"),
        (["table=xlsr_4", "runs=nowhere"], "runs=nowhere: there is no such folder"),
        (["table=mobile_ai_2022", "data=[set5,set14]"], "so one set"),
        (["table=mobile_ai_2022", "data=set6"], "data=set6: there is no such set"),
    ],
)
def test_what_is_not_known_is_refused_with_what_is(
    words: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as caught:
        main([*words, f"output={tmp_path}/out"])
    assert message in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_runs_are_scored_anew_on_the_sets_that_are_named(
    run: Path, tmp_path: Path, cache_dir: Path
) -> None:
    (tmp_path / "mine").mkdir()
    Image.fromarray(coffee()[90:240, 200:410]).save(tmp_path / "mine" / "cup.png")
    places = ["data=folder", f"root={tmp_path}/mine", f"cache_dir={cache_dir}"]
    main([f"runs=[{run}]", f"output={tmp_path}/out", *places])
    evaluate.main([f"run={run}", f"output={tmp_path}/scores.csv", *places])
    with (tmp_path / "scores.csv").open(encoding="utf-8") as lines:
        expected = {row["runtime"]: float(row["psnr_y"]) for row in csv.DictReader(lines)}
    with (tmp_path / "out" / "report.csv").open(encoding="utf-8") as lines:
        (row,) = csv.DictReader(lines)
    for kind, title in (("bicubic", "bicubic"), ("fp32", "FP32"), ("int8", "INT8")):
        assert float(row[f"test folder {title}"]) == pytest.approx(expected[kind], abs=1e-6)
    assert 'class="slider"' in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
