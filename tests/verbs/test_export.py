"""Exported files are what was asked for, and compute what torch computes."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from skimage.data import coffee

from sr_experiments.errors import UserError
from sr_experiments.export import main
from sr_experiments.models import load_model

FILES = ["model.onnx", "model_fp32.tflite", "model_int8.onnx", "model_int8.tflite"]


def rows(printed: str) -> dict[str, list[str]]:
    cells = [line.split("│")[1:-1] for line in printed.splitlines() if line.startswith("│")]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in cells}


def test_the_parity_table_shows_files_that_agree_with_torch(
    run: Path, tmp_path: Path, cache_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([f"run={run}", f"output={tmp_path}/files", f"cache_dir={cache_dir}"])
    assert sorted(path.name for path in (tmp_path / "files").iterdir()) == FILES
    printed = capsys.readouterr().out
    table = rows(printed)
    assert sorted(table) == FILES
    for name, (size, against, equal, within, largest, psnr, less) in table.items():
        assert float(size) == pytest.approx(
            (tmp_path / "files" / name).stat().st_size / 1024, abs=0.1
        )
        assert against == ("INT8" if "int8" in name else "FP32")
        assert float(equal.rstrip("%")) > 99
        assert float(within.rstrip("%")) >= 99.9
        assert int(largest) <= 2
        assert 5 < float(psnr) < 40
        assert abs(float(less)) < 0.01
    # The run's own training images, as its configuration names them.
    assert "ranges from photos:val" in printed


def test_the_fp32_file_is_the_network(run: Path, tmp_path: Path, cache_dir: Path) -> None:
    main([f"run={run}", f"output={tmp_path}", f"cache_dir={cache_dir}", "height=40", "width=60"])
    low_res = coffee()[:40, :60].astype(np.float32) / 255
    interpreter = Interpreter(str(tmp_path / "model_fp32.tflite"))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], low_res[None])
    interpreter.invoke()
    made = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
    with torch.no_grad():
        network = load_model(run / "model.safetensors")
        expected = network(torch.tensor(low_res).permute(2, 0, 1)[None])[0].permute(1, 2, 0)
    assert np.abs(made - expected.numpy()).max() < 1e-5
    onnx.checker.check_model(onnx.load(tmp_path / "model.onnx"))


def test_options_of_the_int8_file_are_in_the_file(
    run: Path, tmp_path: Path, cache_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"run={run}", f"output={tmp_path}", f"cache_dir={cache_dir}", "data=photos:val"]
    words += ["per_channel=false", "input_type=int8", "output_type=float32"]
    main([*words, "height=48", "width=64", "resizable=false"])
    interpreter = Interpreter(str(tmp_path / "model_int8.tflite"))
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert source["shape_signature"].tolist() == [1, 48, 64, 3]
    assert result["shape"].tolist() == [1, 144, 192, 3]
    assert (source["dtype"], result["dtype"]) == (np.int8, np.float32)
    kernels = [
        details["quantization_parameters"]["scales"]
        for details in interpreter.get_tensor_details()
        if details["dtype"] == np.int8 and len(details["shape"]) == 4
    ]
    assert {len(scales) for scales in kernels} == {1}
    assert float(rows(capsys.readouterr().out)["model_int8.tflite"][3].rstrip("%")) >= 99.9


def test_per_channel_files_have_a_scale_for_each_output_channel(
    run: Path, tmp_path: Path, cache_dir: Path
) -> None:
    main([f"run={run}", f"output={tmp_path}", f"cache_dir={cache_dir}", "data=photos:val"])
    interpreter = Interpreter(str(tmp_path / "model_int8.tflite"))
    counts = {
        len(details["quantization_parameters"]["scales"])
        for details in interpreter.get_tensor_details()
    }
    assert {16, 27, 32} <= counts


def test_a_lost_data_set_of_the_run_is_replaced_by_photos_and_said(
    run: Path, tmp_path: Path, cache_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    from sr_experiments.reporting.run_folder import RunFolder

    shutil.copytree(run, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    folder.write_config({**folder.config(), "data": {"train": ["div2k:1-792"]}})
    places = [f"cache_dir={cache_dir}", f"data_dir={tmp_path}/none"]
    main([f"run={tmp_path}/run", f"output={tmp_path}/files", *places])
    printed = capsys.readouterr().out
    assert "own data is not at hand" in printed
    assert "ranges from photos:train" in printed


def test_the_file_for_ai_benchmark_is_one_fixed_uint8_file_that_litert_runs(
    run: Path, tmp_path: Path, cache_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"run={run}", f"output={tmp_path}/phone", f"cache_dir={cache_dir}"]
    main([*words, "target=ai_benchmark"])
    assert [path.name for path in (tmp_path / "phone").iterdir()] == ["model.tflite"]
    interpreter = Interpreter(str(tmp_path / "phone" / "model.tflite"))
    interpreter.allocate_tensors()
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert source["shape"].tolist() == source["shape_signature"].tolist() == [1, 360, 640, 3]
    assert result["shape"].tolist() == [1, 1080, 1920, 3]
    assert source["dtype"] == result["dtype"] == np.uint8
    scale, zero_point = source["quantization"]  # uint8 pixels as they are
    assert (scale, zero_point) == (pytest.approx(1 / 255), 0)
    printed = capsys.readouterr().out
    within = rows(printed)["model.tflite"][3]
    assert float(within.rstrip("%")) >= 99.9
    assert "to the folder Download of the phone" in printed


@pytest.mark.filterwarnings("ignore")  # deprecations inside ExecuTorch's own modules
def test_executorch_files_agree_with_torch(
    run: Path, tmp_path: Path, cache_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("executorch", reason="the extra executorch is not installed")
    words = [f"run={run}", f"output={tmp_path}", f"cache_dir={cache_dir}", "target=executorch"]
    main([*words, "height=40", "width=60"])
    names = ["model.pte", "model_int8.pte"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    table = rows(capsys.readouterr().out)
    for name in names:
        _, against, _, within, _, _, less = table[name]
        assert against == ("INT8" if "int8" in name else "FP32")
        assert float(within.rstrip("%")) >= 99.9
        assert abs(float(less)) < 0.01


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["target=ai_benchmark", "input_type=float32"], "float32 is not for target=ai_benchmark"),
        (["target=nnapi"], "use all, ai_benchmark, executorch"),
        (["input_type=uint16"], "input_type=uint16"),
        (["observer=median"], "median"),
        (["height=0"], "height=0 is below 1"),
        (["scale=4"], "scale=4: .*xlsr-x3 enlarges x3"),
        (["data=imagenet"], "no data set 'imagenet'"),
    ],
)
def test_a_wrong_value_writes_nothing(
    words: list[str], message: str, run: Path, tmp_path: Path, cache_dir: Path
) -> None:
    with pytest.raises(UserError, match=message):
        main([f"run={run}", f"output={tmp_path}/files", f"cache_dir={cache_dir}", *words])
    assert not (tmp_path / "files").exists()


def test_files_that_are_there_are_kept_unless_told_otherwise(
    run: Path, tmp_path: Path, cache_dir: Path
) -> None:
    (tmp_path / "model.onnx").write_bytes(b"precious")
    words = [f"run={run}", f"output={tmp_path}", f"cache_dir={cache_dir}", "data=photos:val"]
    with pytest.raises(UserError, match=r"model\.onnx is there already; add overwrite=true"):
        main(words)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    main([*words, "overwrite=true"])
    assert (tmp_path / "model.onnx").stat().st_size > 10_000


def test_a_finished_file_has_nothing_to_export(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model_int8\.tflite is a finished file"):
        main([f"file={run}/model_int8.tflite", f"output={tmp_path}/files"])
