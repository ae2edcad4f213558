"""Times, their method, and the score that the challenges' formula makes of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from sr_experiments.benchmark import main
from sr_experiments.deploy.tflite import float_model
from sr_experiments.errors import UserError
from sr_experiments.models import ESPCN, collapse, load_model
from sr_experiments.quantization.trace import trace

SMALL = ["height=24", "width=32", "runs=3", "warmup=1", "threads=1", "memory=false"]
# Kernels of XLSR x3 by hand: head, mix, three blocks, skip, merge, tail.
XLSR_WEIGHTS = 864 + 1024 + 3 * (2304 + 1024) + 432 + 1536 + 7776


def result(output: Path, *words: str) -> dict[str, Any]:
    main([*words, f"output={output}"])
    loaded: dict[str, Any] = json.loads(output.read_text())
    return loaded


def test_every_runtime_of_a_run_is_timed_with_its_method(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    made = result(tmp_path / "a.json", f"run={run}", *SMALL)
    rows = {row["runtime"]: row for row in made["runtimes"]}
    names = {"litert int8", "litert fp32", "torch", "torch channels-last", "onnxruntime"}
    assert set(rows) == names
    for row in rows.values():
        assert row["median"] > 0
        assert (row["threads"], row["size"], row["runs"]) == (1, "32x24", 3)
    assert made["warmup"] == 1
    assert rows["litert int8"]["ratio"] == 1
    fp32 = rows["litert fp32"]
    assert fp32["ratio"] == pytest.approx(fp32["median"] / rows["litert int8"]["median"])
    (costs,) = made["networks"].values()
    assert costs == {"parameters": 21947, "macs": XLSR_WEIGHTS * 24 * 32}
    cpu = made["environment"]["cpu"]["model"].split()  # some names have several spaces in a row
    assert " ".join(cpu) in " ".join(capsys.readouterr().out.split())


def test_the_score_is_the_challenges_formula_on_the_measured_time(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"file={run}/model_int8.tflite", "runs=2", "warmup=0", "psnr=29.58", "memory=false"]
    made = result(tmp_path / "a.json", *words)
    (row,) = made["runtimes"]
    assert row["size"] == "640x360"
    # 2^(2 PSNR) / (2^48 ms), the form in which the reports' tables can be checked.
    assert row["challenge"]["2021"] == pytest.approx(2 ** (2 * (29.58 - 24)) / row["median"])
    assert row["challenge"]["2022"] == pytest.approx(row["challenge"]["2021"] / 10)
    assert "theirs is of a Synaptics NPU" in " ".join(capsys.readouterr().out.split())


def test_another_size_than_the_challenges_has_no_score(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"run={run}", "runtime=int8", *SMALL, "psnr=30"]
    (row,) = result(tmp_path / "a.json", *words)["runtimes"]
    assert row["challenge"] == {}
    assert "no challenge score: it is for x3 of 640x360" in capsys.readouterr().out


def test_psnr_can_be_measured_on_a_set(run: Path, tmp_path: Path, cache_dir: Path) -> None:
    words = [f"run={run}", "runtime=int8", *SMALL, "data=photos:test", f"cache_dir={cache_dir}"]
    (row,) = result(tmp_path / "a.json", *words)["runtimes"]
    assert 5 < row["psnr_rgb"] < 40


def test_a_file_of_fixed_size_is_timed_at_that_size(run: Path, tmp_path: Path) -> None:
    graph = trace(load_model(run / "model.safetensors"))
    file = float_model(graph, height=20, width=28, resizable=False)
    (tmp_path / "fixed.tflite").write_bytes(file)
    words = [f"file={tmp_path}/fixed.tflite", "runs=2", "warmup=0", "memory=false"]
    made = result(tmp_path / "a.json", *words)
    assert made["runtimes"][0]["size"] == "28x20"
    assert made["networks"] == {}  # a file does not tell
    with pytest.raises(UserError, match="fixed to"):
        main([*words, "height=40"])


def test_files_of_several_networks_are_compared_with_the_first(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ESPCN(scale=2).eval()
    (tmp_path / "theirs").mkdir()
    other = tmp_path / "theirs" / "model_int8.tflite"
    other.write_bytes(float_model(trace(collapse(small))))
    words = [f"run={run}", f"file=[{run}/model_int8.tflite,{other}]", *SMALL]
    made = result(tmp_path / "a.json", *words)
    rows = made["runtimes"]
    # Of several networks what each ships; files of one name are told apart by their folder.
    assert [(row["network"].rpartition("/")[0], row["runtime"]) for row in rows] == [
        (run.parts[-2], "litert int8"),
        (run.name, "litert int8"),
        ("theirs", "litert fp32"),
    ]
    assert [row["scale"] for row in rows] == [3, 3, 2]
    assert rows[2]["ratio"] == pytest.approx(rows[2]["median"] / rows[0]["median"])
    printed = capsys.readouterr().out
    assert "theirs/model_int8.tflite x2" in "".join(printed.split("\n"))


def test_each_operator_of_a_tflite_and_an_onnx_file_is_timed(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    made = result(tmp_path / "a.json", f"run={run}", *SMALL, "layers=true")
    rows = {row["runtime"]: row["layers"] for row in made["runtimes"]}
    assert rows["torch"] is None
    names = [layer["operator"] for layer in rows["litert int8"]["rows"]]
    # XLSR by hand: 11 convolutions, uint8 at either end.
    assert names[0] == names[-1] == "QUANTIZE"
    assert names.count("CONV_2D") == 11
    details = [layer["detail"] for layer in rows["litert int8"]["rows"]]
    assert "3x3, 32 to 32 in 4 groups: 24x32x32" in details
    assert all(layer["milliseconds"] > 0 for layer in rows["litert int8"]["rows"])
    kinds = {layer["operator"] for layer in rows["onnxruntime"]["rows"]}
    assert {"Concat", "DepthToSpace"} <= kinds
    with pytest.raises(UserError, match=r"layers=true is of \.tflite and \.onnx"):
        main([f"run={run}", *SMALL, "runtime=torch", "layers=true"])


def test_peak_memory_grows_with_the_frame(run: Path, tmp_path: Path) -> None:
    words = [f"file={run}/model_int8.tflite", "runs=1", "warmup=0", "threads=1"]
    made = [
        result(tmp_path / f"{side}.json", *words, f"height={side}", f"width={side}")
        for side in (32, 512)
    ]
    small, large = (item["runtimes"][0]["memory_mib"] for item in made)
    # At least the picture that is read and the one that is made: 3 + 27 bytes a pixel.
    assert large - small > 30 * (512**2 - 32**2) / 1024**2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["runs=0"], "runs=0 is below 1"),
        (["psnr=30", "data=set5"], "use one of them"),
        (["file={a: b}"], r"file=\{'a': 'b'\} is not a path"),
        (["output=speed.csv"], r"ends in \.json"),
        (["threads=0"], "threads=0 is below 1"),
        (["runtime=tensorrt"], "use int8, fp16, fp32, torch, torch_fp16, onnx"),
        (["runtime=torch", "device=tpu"], "device=tpu is not cpu, cuda"),
    ],
)
def test_a_wrong_value_is_refused(words: list[str], message: str, run: Path) -> None:
    with pytest.raises(UserError, match=message):
        main([f"run={run}", *words])
