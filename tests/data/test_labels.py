from pathlib import Path

import pytest

from sr_experiments.data import read_labels
from sr_experiments.errors import UserError

CLASSES = ["no glasses", "glasses"]
KAGGLE = ["faces-spring-2020/face-{id}.png", "faces-spring-2020/faces-spring-2020/face-{id}.png"]


def kaggle(root: Path, rows: list[str], folder: str = "faces-spring-2020") -> Path:
    vector = ",".join(f"v{index}" for index in range(1, 513))
    values = ",".join(["0.5"] * 512)
    lines = [f"id,{vector},glasses"]
    lines += [f"{row.partition(',')[0]},{values},{row.partition(',')[2]}" for row in rows]
    root.mkdir(exist_ok=True)
    (root / "train.csv").write_text("\n".join(lines) + "\n")
    (root / folder).mkdir(parents=True)
    for row in rows:
        (root / folder / f"face-{row.partition(',')[0]}.png").touch()
    return root


@pytest.mark.parametrize("folder", ["faces-spring-2020", "faces-spring-2020/faces-spring-2020"])
def test_kaggles_layout_is_read_as_it_is(tmp_path: Path, folder: str) -> None:
    root = kaggle(tmp_path / "set", ["1,0", "2,1", "10,1.0"], folder)
    (root / folder / "face-4501.png").touch()  # of the 500 that have no label
    found = read_labels(root, "train.csv", KAGGLE, "glasses", CLASSES)
    assert [(file.name, file.label) for file in found] == [
        (f"{folder}/face-1.png", 0),
        (f"{folder}/face-2.png", 1),
        (f"{folder}/face-10.png", 1),
    ]
    assert found[0].path.is_file()


def test_missing_pictures_are_named(tmp_path: Path) -> None:
    root = kaggle(tmp_path / "set", [f"{index},0" for index in range(20)])
    for index in range(3, 10):
        (root / "faces-spring-2020" / f"face-{index}.png").unlink()
    with pytest.raises(UserError, match=r"7 are not there: .*face-3\.png.* and 2 more"):
        read_labels(root, "train.csv", KAGGLE, "glasses", CLASSES)


def test_an_absent_set_is_answered_with_its_layout_and_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)train\.csv.*face-\{id\}\.png.*https://there"):
        read_labels(tmp_path, "train.csv", KAGGLE, "glasses", CLASSES, "https://there")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("file,label\na.png,0\na.png,1\n", "line 3: a.png is listed twice"),
        ("file,label\na.png,2\n", "line 2: label='2' of a.png is no class"),
        ("file,label\na.png,0.5\n", "is no class"),
        ("file,label\na.png,\n", "is no class"),
        ("file,label\na.png,nan\n", "is no class"),
        ("file,wrong\na.png,0\n", "no column label; its columns are file, wrong"),
        ("file,label\n", "lists no pictures"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    (tmp_path / "a.png").touch()
    with pytest.raises(UserError, match=told):
        read_labels(tmp_path, "labels.csv", ["{file}"], "label", CLASSES)


def test_classes_may_be_named_in_the_table(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("label,file\nglasses,a b.png\n")
    (tmp_path / "a b.png").touch()
    (found,) = read_labels(tmp_path, "labels.csv", ["{file}"], "label", CLASSES)
    assert found.label == 1
