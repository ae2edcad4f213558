"""Files of networks and of runs that are damaged: each verb names the file, with exit code 2."""

import csv
import json
import random
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from sr_experiments import benchmark, classify, doctor, evaluate, export, layers, report, upscale
from sr_experiments.configuration.entry import run_verb
from sr_experiments.deploy.onnx import onnx_model
from sr_experiments.deploy.runtimes import open_runtime
from sr_experiments.errors import UserError
from sr_experiments.models import collapse, load_model
from sr_experiments.quantization import trace
from sr_experiments.reporting.run_folder import RunFolder

VERBS: dict[str, Callable[[list[str]], None]] = {
    "evaluate": evaluate.main,
    "upscale": upscale.main,
    "benchmark": benchmark.main,
    "export": export.main,
    "layers": layers.main,
    "classify": classify.main,
}
WEIGHTS_ONLY = ("export", "layers", "classify")


def words(name: str, out: Path, picture: Path) -> list[str]:
    return {
        "evaluate": ["data=photos:val", f"output={out}/a.csv"],
        "upscale": [f"input={picture}", f"output={out}/a.png"],
        "benchmark": [f"output={out}/a.json", "memory=false"],
        "export": [f"output={out}/a"],
        "layers": [f"output={out}/a.csv"],
        "classify": [f"input={picture}", f"output={out}/a.csv"],
    }[name]


@pytest.fixture(scope="module")
def files(run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A network as each kind of file."""
    network = collapse(load_model(run / "model.safetensors"))
    return {
        ".tflite": (run / "model_int8.tflite").read_bytes(),
        ".onnx": onnx_model(trace(network)),
        ".safetensors": (run / "model.safetensors").read_bytes(),
    }


def damaged(content: bytes) -> dict[str, bytes]:
    return {
        "empty": b"",
        "cut": content[: len(content) // 2],
        "html": b"<html>404</html>",
        "zeros": bytes(4000),
        "noise behind its first bytes": content[:8] + random.Random(1).randbytes(4000),
    }


@pytest.mark.parametrize("suffix", [".tflite", ".onnx", ".safetensors"])
@pytest.mark.parametrize("name", list(VERBS))
def test_a_damaged_network_is_named(
    name: str,
    suffix: str,
    files: dict[str, bytes],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / f"net{suffix}"
    (tmp_path / "picture.png").write_bytes(b"")
    for content in damaged(files[suffix]).values():
        path.write_bytes(content)
        given = [f"file={path}", *words(name, tmp_path / "out", tmp_path / "picture.png")]
        with pytest.raises(SystemExit) as stop:
            run_verb(lambda given=given: VERBS[name](given))  # type: ignore[misc]
        assert stop.value.code == 2
        told = capsys.readouterr().err
        assert told.startswith("error: ")
        assert path.name in told
        assert re.search(r"copy (it|that) again|name a run folder", told)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("suffix", [".tflite", ".onnx", ".safetensors"])
def test_single_changed_bytes_are_survived(
    suffix: str, files: dict[str, bytes], tmp_path: Path
) -> None:
    choose = random.Random(7)
    for attempt in range(12):
        content = bytearray(files[suffix])
        for _ in range(3):
            content[choose.randrange(min(len(content), 3000))] = choose.randrange(256)
        path = tmp_path / f"net{attempt}{suffix}"
        path.write_bytes(content)
        with suppress(UserError):  # any other exception fails, and so does a crash
            open_runtime(path, threads=1)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("summary.json", '{"status": "finished", "scale": 3, "model": "xlsr", "stages": [5]}'),
        ("summary.json", '{"status": "finished", "scale": 3, "model": "xlsr", "test": [1]}'),
        ("config.yaml", "model: [1, 2]"),
        ("config.yaml", "model: &a {loop: *a}\n- half"),
        ("config.yaml", "[" * 5000),
        ("config.yaml", "model: !!python/object/apply:os.system [false]"),
        ("metrics.csv", "epoch,stage,val/psnr\nx,fp32,y\nz,fp32,w\n"),
        ("layers.json", '{"layers": 5}'),
    ],
)
def test_a_page_of_a_damaged_run_names_the_folder(
    file: str, content: str, run: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(run, tmp_path / "damaged")
    RunFolder(folder).append_metrics({"epoch": 0, "stage": "fp32", "val/psnr": 30.0})
    (folder / file).write_text(content)
    place = re.escape(str(folder))
    told = rf"^(runs={place}: a file there does not hold what|{place}/{file} cannot be read: )"
    with pytest.raises(UserError, match=told):
        report.main([f"runs={folder}"])


def test_a_damaged_run_does_not_keep_the_others_from_their_page(run: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name in ("a", "b"):
        shutil.copytree(run, runs / name)
    (runs / "b" / "summary.json").write_text("{half a fil")
    (runs / "b" / "scores.csv").write_bytes(bytes(range(256)))
    report.main([f"runs={runs}", f"output={tmp_path}/out"])
    with (tmp_path / "out" / "report.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["job"]: row["status"] for row in rows} == {"a": "finished", "b": "damaged"}


@pytest.mark.parametrize("ranges", ['{"activations": 5}', "{}", "[", "7", '{"a":' * 3000])
def test_damaged_ranges_beside_the_weights_are_told(
    ranges: str, run: Path, tmp_path: Path, cache_dir: Path
) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    with safe_open(run / "model.safetensors", framework="pt") as opened:
        metadata = opened.metadata()
    path = tmp_path / "model.safetensors"
    save_file(load_file(run / "model.safetensors"), path, {**metadata, "ranges": ranges})
    with pytest.raises(UserError, match=r"ranges .*damaged"):
        layers.main([f"file={path}", f"cache_dir={cache_dir}", "data=photos:val"])


def test_the_doctor_ends_well_beside_broken_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "x.safetensors").write_bytes(b"\xff" * 20)
    (tmp_path / "downloads").write_text("a file where a folder should be")
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "cifar10_jpg.zip").write_text(json.dumps("no zip"))
    doctor.main([f"data_dir={tmp_path}", f"cache_dir={tmp_path}"])
    assert "torch" in capsys.readouterr().out
