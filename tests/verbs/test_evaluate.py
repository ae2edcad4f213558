"""Scores against other people's code: skimage, LiteRT's own interpreter, published tables."""

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from skimage.data import coffee
from skimage.metrics import peak_signal_noise_ratio

from sr_experiments.deploy.tflite import float_model, int8_model
from sr_experiments.errors import UserError
from sr_experiments.evaluate import main
from sr_experiments.functional.resize import downscale
from sr_experiments.losses import L1
from sr_experiments.models import load_model
from sr_experiments.quantization.modes import PostTraining
from sr_experiments.quantization.trace import trace
from sr_experiments.reporting import looking
from sr_experiments.reporting.evaluation import Evaluation, print_evaluation
from sr_experiments.reporting.scores import METRICS, SetScore


def scores(output: Path, *words: str) -> dict[str, Any]:
    main([*words, f"output={output}", "overwrite=true"])
    loaded: dict[str, Any] = json.loads(output.read_text())
    return loaded


@pytest.fixture(scope="module")
def cup(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> list[str]:
    """Options that score on one small photo."""
    folder = tmp_path_factory.mktemp("mine")
    Image.fromarray(coffee()[90:240, 200:410]).save(folder / "cup.png")
    return ["data=folder", f"root={folder}", f"cache_dir={cache_dir}"]


@pytest.mark.parametrize(
    ("scale", "psnr", "ssim"),
    [(2, "33.66", "0.9299"), (3, "30.39", "0.8682"), (4, "28.42", "0.8104")],
)
def test_bicubic_on_set5_prints_the_literatures_row(
    scale: int,
    psnr: str,
    ssim: str,
    data_dir: Path,
    cache_dir: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(
        [
            "model=bicubic",
            f"scale={scale}",
            "data=set5",
            f"data_dir={data_dir}",
            f"cache_dir={cache_dir}",
        ]
    )
    printed = [line.split("│") for line in capsys.readouterr().out.splitlines()]
    rows = {row[1].strip(): [cell.strip() for cell in row[2:4]] for row in printed if len(row) > 3}
    assert rows["mean  bicubic"] == [psnr, ssim]
    assert rows["Bicubic [1]"] == [psnr, ssim]


def test_fp32_and_int8_of_a_run_are_what_torch_and_litert_compute(
    run: Path, data_dir: Path, cache_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    shutil.copy(data_dir / "test/Set5/HR/butterfly.png", tmp_path / "mine")
    words = ["data=folder", f"root={tmp_path}/mine", f"cache_dir={cache_dir}"]
    result = scores(tmp_path / "a.json", f"run={run}", *words)
    images = {key: row["images"]["butterfly"] for key, row in result["sets"]["folder"].items()}
    assert list(images) == ["bicubic", "fp32", "int8"]

    low_res = np.asarray(Image.open(data_dir / "test/Set5/LR_bicubic/X3/butterflyx3.png"))
    high_res = np.asarray(Image.open(data_dir / "test/Set5/HR/butterfly.png"))
    high_res = high_res[: 3 * low_res.shape[0], : 3 * low_res.shape[1]]
    with torch.no_grad():
        prediction = load_model(run / "model.safetensors")(
            torch.tensor(low_res).permute(2, 0, 1)[None] / 255
        )
    fp32 = (prediction[0].permute(1, 2, 0).numpy() * 255 + 0.5).clip(0, 255).astype(np.uint8)
    assert images["fp32"]["psnr_rgb"] == pytest.approx(inner_psnr(fp32, high_res), abs=1e-4)
    int8 = litert(run / "model_int8.tflite", low_res)
    assert images["int8"]["psnr_rgb"] == pytest.approx(inner_psnr(int8, high_res), abs=1e-9)


def test_looks_of_an_int8_file_are_those_of_its_own_pictures_or_said_to_be_missing(
    run: Path,
    cup: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    lacking = looking.metrics(str(tmp_path), halves=False)
    monkeypatch.setattr(
        looking, "metrics", lambda *_, **__: {"l1": L1(), "dists": lacking["dists"]}
    )
    main([f"file={run / 'model_int8.tflite'}", "perception=true", *cup])
    printed = capsys.readouterr().out
    high_res = coffee()[90:240, 200:410]
    low_res = downscale(torch.from_numpy(high_res.copy()).permute(2, 0, 1), 3)
    made = litert(run / "model_int8.tflite", low_res.permute(1, 2, 0).numpy())
    inside = (slice(3, -3), slice(3, -3))
    expected = np.abs(made[inside].astype(float) - high_res[inside]).mean() / 255
    row = next(line for line in printed.splitlines() if "l1" in line)
    assert row.split("│")[-2].strip() == f"{expected:.4f}"
    assert "dists: not measured" in printed


def inner_psnr(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    return float(peak_signal_noise_ratio(second[3:-3, 3:-3], first[3:-3, 3:-3], data_range=255))


def litert(file: Path, low_res: NDArray[np.uint8]) -> NDArray[np.uint8]:
    interpreter = Interpreter(str(file))
    end = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(end, (1, *low_res.shape))
    interpreter.allocate_tensors()
    interpreter.set_tensor(end, low_res[None])
    interpreter.invoke()
    made: NDArray[np.uint8] = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return made[0]


def test_published_figures_of_the_network_stand_below_its_own() -> None:
    rows = {"bicubic": SetScore({"baby": dict.fromkeys(METRICS, 30.0)})}
    result = Evaluation("my-run", "XLSR", 3, {"set5": rows}, {"b100": "it is not here"})
    console = Console(width=100, record=True, file=io.StringIO())
    print_evaluation(result, None, console)
    lines = console.export_text().splitlines()
    row = next(line for line in lines if "XLSR [2]" in line)
    assert "33.42" in row
    assert "[2] XLSR paper (Ayazoglu, 2021), table 4" in lines
    assert "b100: left out, it is not here" in lines


@pytest.mark.parametrize("kind", ["fp32", "int8"])
def test_a_file_of_fixed_size_is_scored_in_tiles_with_equal_result(
    kind: str, run: Path, tmp_path: Path, cup: list[str]
) -> None:
    graph = trace(load_model(run / "model.safetensors"))
    calibration = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    quantized = PostTraining().quantize(graph, calibration)
    for name, options in (
        ("whole", {}),
        ("fixed", {"height": 32, "width": 40, "resizable": False}),
    ):
        file = int8_model(quantized, **options) if kind == "int8" else float_model(graph, **options)
        (tmp_path / f"{name}.tflite").write_bytes(file)
    mean = {
        name: scores(tmp_path / "a.json", f"file={tmp_path / name}.tflite", *cup)["sets"]["folder"][
            "tflite"
        ]["mean"]
        for name in ("whole", "fixed")
    }
    # Floating point may be summed in another order in a smaller window.
    assert mean["fixed"] == pytest.approx(mean["whole"], abs=0 if kind == "int8" else 1e-3)


def test_sets_that_are_not_here_are_left_out_by_default_and_named(
    tmp_path: Path, cache_dir: Path
) -> None:
    places = [f"data_dir={tmp_path / 'none'}", f"cache_dir={cache_dir}"]
    result = scores(tmp_path / "a.json", "model=bicubic", *places)
    assert list(result["sets"]) == ["photos:test"]
    assert set(result["missing"]) == {"set5", "set14", "b100", "urban100", "manga109"}
    assert "prepare data=set5" in result["missing"]["set5"]


def test_a_set_that_was_asked_for_and_is_not_here_is_an_error_with_the_remedy(
    tmp_path: Path, cache_dir: Path
) -> None:
    places = [f"data_dir={tmp_path / 'none'}", f"cache_dir={cache_dir}"]
    with pytest.raises(UserError, match=r"prepare data=set5"):
        main(["model=bicubic", "data=[photos:test,set5]", f"output={tmp_path}/a.json", *places])
    assert not (tmp_path / "a.json").exists()


def test_the_csv_has_a_row_per_runtime_and_image(run: Path, cup: list[str], tmp_path: Path) -> None:
    main([f"run={run}", f"output={tmp_path}/new/a.csv", *cup])
    rows = list(csv.DictReader((tmp_path / "new" / "a.csv").read_text().splitlines()))
    assert [(row["runtime"], row["image"]) for row in rows] == [
        ("bicubic", "cup"),
        ("fp32", "cup"),
        ("int8", "cup"),
    ]
    assert 5 < float(rows[1]["psnr_y"]) < 40


def test_an_older_result_is_kept_unless_told_otherwise(
    run: Path, cup: list[str], tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("precious")
    with pytest.raises(UserError, match=r"a\.csv is there already; add overwrite=true"):
        main([f"run={run}", f"output={tmp_path}/a.csv", *cup])
    assert (tmp_path / "a.csv").read_text() == "precious"
    with pytest.raises(UserError, match=r"ends in \.json or \.csv"):
        main([f"run={run}", f"output={tmp_path}/a.txt", *cup])


def test_self_ensemble_helps_a_network_that_is_not_symmetric(
    run: Path, cup: list[str], tmp_path: Path
) -> None:
    words = [f"run={run}", "runtime=int8", *cup]
    plain = scores(tmp_path / "a.json", *words)["sets"]["folder"]["int8"]["mean"]
    words.append("self_ensemble=true")
    ensemble = scores(tmp_path / "a.json", *words)["sets"]["folder"]["int8"]["mean"]
    assert ensemble["psnr_y"] > plain["psnr_y"]


def test_every_runtime_of_a_run_agrees(run: Path, cup: list[str], tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    psnr = {}
    for runtime in ("torch", "fp32", "onnx", "int8"):
        words = [f"run={run}", f"runtime={runtime}", *cup]
        result = scores(tmp_path / "a.json", *words)["sets"]["folder"]
        psnr[runtime] = result[runtime]["mean"]["psnr_rgb"]
    assert psnr["fp32"] == pytest.approx(psnr["torch"], abs=1e-3)
    assert psnr["onnx"] == pytest.approx(psnr["torch"], abs=1e-3)
    assert psnr["int8"] != psnr["torch"]
