"""A checkpoint is read as weights and plain values, or refused by name."""

from pathlib import Path
from typing import Any

import pytest
import torch

from sr_experiments.callbacks.checkpoints import SCHEMA_VERSION
from sr_experiments.errors import UserError
from sr_experiments.training.checkpoint import read_checkpoint

GOOD: dict[str, Any] = {"stage": 2, "state_dict": {"weight": torch.ones(3)}, "epoch": 4}


class Evil:
    """Unpickled, it makes a file."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.proof,)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "last.ckpt"


@pytest.mark.parametrize("extra", [{}, {"schema_version": SCHEMA_VERSION}])
def test_checkpoints_with_and_without_a_version_are_read(file: Path, extra: dict[str, int]) -> None:
    torch.save(GOOD | extra, file)
    read = read_checkpoint(file, mmap=True)
    assert (read["stage"], read["epoch"], read["state_dict"]["weight"].sum()) == (2, 4, 3)


def test_a_newer_version_says_what_to_update(file: Path) -> None:
    torch.save(GOOD | {"schema_version": SCHEMA_VERSION + 1}, file)
    with pytest.raises(UserError, match=r"of a newer sr_experiments: .* update the package"):
        read_checkpoint(file)


@pytest.mark.parametrize("key", ["optimizer_states", "hyper_parameters", "state_dict", "stage"])
@pytest.mark.parametrize("old_format", [False, True])
def test_code_anywhere_in_it_is_not_run(file: Path, key: str, old_format: bool) -> None:
    proof = file.with_name("executed")
    evil = GOOD | {key: Evil(proof)}
    torch.save(evil, file, _use_new_zipfile_serialization=not old_format)
    with pytest.raises(UserError, match=r"last\.ckpt is damaged, or no checkpoint"):
        read_checkpoint(file)
    assert not proof.exists()
    torch.load(file, weights_only=False)  # what the attack does where it is let
    assert proof.exists()


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize(
    "content", ["empty", "half", "html", "list", "no stage", "weights are a number", "folder"]
)
def test_what_is_no_checkpoint_is_refused_by_name(file: Path, content: str, mmap: bool) -> None:
    torch.save(GOOD, file)
    whole = file.read_bytes()
    if content == "empty":
        file.write_bytes(b"")
    elif content == "half":
        file.write_bytes(whole[: len(whole) // 2])
    elif content == "html":
        file.write_text("<html>404</html>")
    elif content == "list":
        torch.save([1, 2], file)
    elif content == "no stage":
        torch.save({"state_dict": {}}, file)
    elif content == "weights are a number":
        torch.save({"stage": 1, "state_dict": 5}, file)
    else:
        file.unlink()
        file.mkdir()
    with pytest.raises(UserError, match=r"last\.ckpt is damaged, .* move it away"):
        read_checkpoint(file, mmap=mmap)
