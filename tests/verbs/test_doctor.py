"""The doctor answers whatever is broken."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from sr_experiments import doctor
from sr_experiments.reporting import diagnosis, environment

ROOT = Path(__file__).resolve().parents[2]


def test_it_says_where_sets_are_and_how_to_get_the_others(
    data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only, cache = tmp_path / "only", tmp_path / "cache"  # other sets may be at hand, too
    (only / "test").mkdir(parents=True)
    (only / "test" / "Set5").symlink_to(data_dir / "test" / "Set5")
    cache.mkdir()
    doctor.main([f"data_dir={only}", f"cache_dir={cache}"])
    said = capsys.readouterr().out
    assert f"5 images in {only}/test/Set5/HR" in said
    assert "10 images in" in next(line for line in said.splitlines() if "photos:train" in line)
    row = next(line for line in said.splitlines() if "flickr2k:train" in line)
    assert row.split()[0] == "--"
    assert row.endswith("not here; python -m sr_experiments.prepare data=flickr2k")
    assert list(cache.iterdir()) == []


def test_a_machine_with_nothing_gets_an_answer(
    forget_wandb: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", "")
    forget_wandb(monkeypatch, tmp_path)
    (tmp_path / "file").write_text("")
    doctor.main([f"data_dir={tmp_path}/none", f"cache_dir={tmp_path}/file/below"])
    said = capsys.readouterr().out
    assert f"{tmp_path}/none (not there; set SR_DATA_DIR or paths.data_dir)" in said
    assert "no key: logger=wandb stays offline" in said


def test_a_broken_part_is_a_line_and_not_the_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> dict[str, object]:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(environment, "cpu", broken)
    doctor.main([f"cache_dir={tmp_path}"])
    said = capsys.readouterr().out
    assert "problem  RuntimeError: no such thing" in said
    assert "W&B" in said


def test_the_extras_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = project["optional-dependencies"]
    assert set(diagnosis.EXTRAS) == set(declared) - {"dev"}
    for extra, names in diagnosis.EXTRAS.items():
        for name in names:
            assert any(line.startswith(name) for line in declared[extra])


@pytest.mark.parametrize(("key", "words"), [("abc", "a key is at hand"), ("", "no key")])
def test_a_wandb_key_is_noticed_and_not_shown(
    key: str,
    words: str,
    forget_wandb: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    forget_wandb(monkeypatch, tmp_path)
    monkeypatch.setenv("WANDB_API_KEY", key)
    (line,) = diagnosis.wandb_key()
    assert words in line.text
    assert "abc" not in line.text
