"""The verb that shows what INT8 does to each layer."""

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

from sr_experiments.errors import UserError
from sr_experiments.layers import main


def test_tables_name_every_layer_and_the_page_keeps_them(
    run: Path, tmp_path: Path, cache_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(run, tmp_path / "run")
    words = [f"run={folder}", f"cache_dir={cache_dir}", "size=24", "page=true"]
    main([*words, "sensitivity=true", "bits=[4,float]", f"output={tmp_path}/layers.csv"])
    printed = capsys.readouterr().out
    for name in ("head.0", "fuse.0", "tail"):
        assert printed.count(f"│ {name} ") == 2
    assert "adds most noise" in printed
    first, second = (tmp_path / "layers.csv").read_text().split("\n\n")
    layers = list(csv.DictReader(io.StringIO(first)))
    assert len(layers) == 11
    assert all(10 < float(row["own"]) < 60 for row in layers)
    changes = list(csv.DictReader(io.StringIO(second)))
    assert {row["layer"] for row in changes} == {row["layer"] for row in layers}
    alone = [float(row["alone in INT8"]) for row in changes]
    assert alone == sorted(alone)
    kept = json.loads((folder / "layers.json").read_text())
    assert sum(layer["share"] for layer in kept["layers"]) == pytest.approx(1)
    page = (folder / "report.html").read_text()
    assert "What INT8 does to each layer" in page
    assert page.count("<td>tail</td>") == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bits=[1]"], "bits=1 is neither float nor"),
        (["bits=many"], "bits=many is neither"),
        (["pictures=0"], "pictures=0 is below 1"),
        (["activations=int4"], "activations=int4: use int8 or int16"),
        (["data=nowhere"], "nowhere"),
    ],
)
def test_wrong_options_are_refused(
    run: Path, cache_dir: Path, words: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        main([f"run={run}", f"cache_dir={cache_dir}", *words])


def test_a_page_needs_a_run(run: Path) -> None:
    with pytest.raises(UserError, match="page=true needs a run folder"):
        main([f"file={run}/model.safetensors", "page=true"])
