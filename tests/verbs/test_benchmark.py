"""Times, their method, and the score that the challenges' formula makes of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from sr_experiments.benchmark import main
from sr_experiments.deploy.tflite import float_model
from sr_experiments.errors import UserError
from sr_experiments.models import load_model
from sr_experiments.quantization.trace import trace

SMALL = ["height=24", "width=32", "runs=3", "warmup=1", "threads=1"]
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
    assert made["parameters"] == 21947
    assert made["macs"] == XLSR_WEIGHTS * 24 * 32
    assert made["environment"]["cpu"]["model"] in capsys.readouterr().out


def test_the_score_is_the_challenges_formula_on_the_measured_time(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"file={run}/model_int8.tflite", "runs=2", "warmup=0", "psnr=29.58"]
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
    words = [f"file={tmp_path}/fixed.tflite", "runs=2", "warmup=0"]
    made = result(tmp_path / "a.json", *words)
    assert made["runtimes"][0]["size"] == "28x20"
    assert made["macs"] is None
    with pytest.raises(UserError, match="fixed to"):
        main([*words, "height=40"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["runs=0"], "runs=0 is below 1"),
        (["psnr=30", "data=set5"], "use one of them"),
        (["output=speed.csv"], r"ends in \.json"),
        (["threads=0"], "threads=0 is below 1"),
        (["runtime=tensorrt"], "use int8, fp16, fp32, torch, torch_fp16, onnx"),
        (["runtime=torch", "device=tpu"], "device=tpu is not cpu, cuda"),
    ],
)
def test_a_wrong_value_is_refused(words: list[str], message: str, run: Path) -> None:
    with pytest.raises(UserError, match=message):
        main([f"run={run}", *words])
