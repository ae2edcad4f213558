"""A run folder from a stranger: whatever its files name, none of it is run or told."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from skimage.data import coffee

from sr_experiments import benchmark, classify, evaluate, export, layers, report, upscale
from sr_experiments.errors import UserError
from sr_experiments.models import XLSR, load_classifier, load_model
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.tasks.distillation import load_teacher
from sr_experiments.training.start import start_from

SECRET = "what-only-the-victim-knows"
SCRIPT = "<script>alert(1)</script>"


def attacks(proof: Path) -> dict[str, Any]:
    """Ways to have Hydra make ``proof``, were it ever given the node."""
    path = {"_target_": "pathlib.Path", "_args_": [str(proof)]}
    touch = {"_target_": "pathlib.Path.touch", "_args_": [path]}
    written = f"open({str(proof)!r}, 'w')"
    return {
        "plain": touch,
        "partial": {**touch, "_partial_": True},
        "converted": {"_target_": "builtins.eval", "_args_": [written], "_convert_": "all"},
        "interpolated": {**touch, "_target_": "${oc.env:ATTACK}"},
        "decoded": {"_target_": "${oc.decode:builtins.exec}", "_args_": [written]},
        "looked up": {"_target_": "hydra.utils.get_method", "path": "os.system"},
        "indirect": {"_target_": "hydra.utils.instantiate", "_args_": [touch]},
        "by our own code": {
            "_target_": "sr_experiments.training.making.make",
            "node": touch,
            "key": "model",
        },
        "below a network": {"_target_": "sr_experiments.models.XLSR", "scale": touch},
        "beside a network": {"_target_": "sr_experiments.models.XLSR", "_args_": [touch]},
        "part of a network": {"_target_": "sr_experiments.models.io.importlib.import_module"},
        "hub": {"_target_": "torch.hub.load", "_args_": ["attacker/code", "model"]},
    }


@pytest.fixture
def proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ATTACK", "pathlib.Path.touch")
    monkeypatch.setenv("SECRET", SECRET)
    return tmp_path / "executed"


@pytest.fixture
def stranger(run: Path, tmp_path: Path, proof: Path) -> Path:
    """Honest weights under a configuration whose every node is an attack."""
    folder = shutil.copytree(run, tmp_path / "runs" / "stranger")
    groups = ("data", "task", "loss", "optimizer", "callbacks", "logger", "quantization")
    nodes = attacks(proof)
    config = dict(zip(groups, nodes.values(), strict=False))
    summary = RunFolder(folder).summary()
    RunFolder(folder).write_config(
        {
            **config,
            "model": nodes["below a network"],
            "run_name": f"{SCRIPT}${{oc.env:SECRET}}",
            "teacher": nodes["hub"],
            "data": {**nodes["indirect"], "train": ["${oc.env:SECRET}", SCRIPT], "root": "/etc"},
        }
    )
    RunFolder(folder).write_summary({**summary, "test": {SCRIPT: {}}, "params": 21_947})
    (folder / "overrides.yaml").write_text(f"- model=xlsr; touch {proof}\n- {SCRIPT}\n")
    (folder / "conftest.py").write_text(f"open({str(proof)!r}, 'w')")
    (folder / "sitecustomize.py").write_text(f"open({str(proof)!r}, 'w')")
    return folder


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    Image.fromarray(coffee()[90:150, 200:284]).save(tmp_path / "photos" / "cup.png")
    return tmp_path / "photos" / "cup.png"


def verbs(folder: Path, photo: Path, out: Path, cache: Path) -> dict[str, Callable[[], object]]:
    """Each verb on a run folder, as quickly as it goes."""
    data = ["data=folder", f"root={photo.parent}", f"cache_dir={cache}"]
    shot = ["height=16", "width=16", "runs=1", "warmup=0", "memory=false", "threads=1"]
    run = f"run={folder}"
    return {
        "evaluate": lambda: evaluate.main([run, *data, f"output={out}/scores.csv"]),
        "upscale": lambda: upscale.main([run, f"input={photo}", f"output={out}/big.png"]),
        "export": lambda: export.main(
            [run, f"output={out}/files", "calibration_images=2", f"cache_dir={cache}"]
        ),
        "benchmark": lambda: benchmark.main([run, *shot, f"output={out}/times.json"]),
        "layers": lambda: layers.main([run, *data, "size=24", f"output={out}/layers.csv"]),
        "report": lambda: report.main([f"runs={folder}", f"output={out}/report"]),
        "report of two": lambda: report.main(
            [f"runs=[{folder},{folder.parent}]", f"output={out}/report"]
        ),
        "table": lambda: report.main(["table=sweep", f"runs={folder.parent}", f"output={out}/t"]),
        "init_from": lambda: start_from(XLSR(scale=3), folder),
        "teacher": lambda: load_teacher(folder),
    }


def test_no_verb_builds_what_the_configuration_names(
    stranger: Path, photo: Path, proof: Path, tmp_path: Path, cache_dir: Path
) -> None:
    out = tmp_path / "out"
    for verb in verbs(stranger, photo, out, cache_dir).values():
        verb()
        assert not proof.exists()
    written = [path for path in [*out.rglob("*"), stranger / "report.html"] if path.is_file()]
    assert {path.suffix for path in written} >= {".csv", ".html", ".tex", ".md", ".png", ".tflite"}
    for path in written:
        content = path.read_bytes()
        assert SECRET.encode() not in content
        if path.suffix == ".html":
            assert SCRIPT.encode() not in content
    page = (stranger / "report.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;" in page
    # Who copies the command must not run the stranger's.
    assert "&#39;model=xlsr; touch" in page


@pytest.mark.parametrize("name", list(attacks(Path("proof"))))
def test_weights_build_networks_of_this_package_and_nothing_else(
    name: str, run: Path, proof: Path, tmp_path: Path
) -> None:
    file = tmp_path / "model.safetensors"
    describe(run, file, attacks(proof)[name])
    for load in (load_model, load_classifier):
        with pytest.raises(UserError, match=r"model\.safetensors"):
            load(file)
    assert not proof.exists()


def describe(run: Path, file: Path, model: object) -> None:
    """Honest weights under another description."""
    with safe_open(run / "model.safetensors", framework="pt") as opened:
        metadata = opened.metadata()
    tensors = load_file(run / "model.safetensors")
    save_file(tensors, file, {**metadata, "model": json.dumps(model)})


def test_every_verb_refuses_weights_that_name_code(
    stranger: Path, run: Path, photo: Path, proof: Path, tmp_path: Path, cache_dir: Path
) -> None:
    describe(run, stranger / "model.safetensors", attacks(proof)["plain"])
    for file in stranger.glob("*.tflite"):
        file.unlink()
    made = verbs(stranger, photo, tmp_path / "out", cache_dir)
    made["classify"] = lambda: classify.main(
        [f"run={stranger}", f"input={photo}", f"output={tmp_path}/said.csv"]
    )
    for name in set(made) - {"report", "report of two", "table"}:  # those read no weights
        with pytest.raises(UserError, match=r"names pathlib\.Path\.touch|holds touch, not XLSR"):
            made[name]()
    assert not proof.exists()


class Evil:
    """Unpickled, it makes a file."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.proof,)


def test_a_strangers_checkpoint_is_not_unpickled(stranger: Path, proof: Path) -> None:
    checkpoint = stranger / "checkpoints" / "best.ckpt"
    checkpoint.parent.mkdir()
    evil = {"stage": 1, "state_dict": {}, "hyper_parameters": Evil(proof)}
    torch.save(evil, checkpoint)
    with safe_open(stranger / "model.safetensors", framework="pt") as opened:
        metadata = {**opened.metadata(), "form": "collapsed"}
    tensors = load_file(stranger / "model.safetensors")
    save_file(tensors, stranger / "model.safetensors", metadata)
    # The folded weights do not fit, so those of the checkpoint are looked at.
    with pytest.raises(UserError, match=r"best\.ckpt is damaged, or no checkpoint"):
        start_from(XLSR(scale=3, clip_hidden="learned"), stranger)
    assert not proof.exists()
