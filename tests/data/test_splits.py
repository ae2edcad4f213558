from itertools import chain

import pytest

from sr_experiments.data.splits import split
from sr_experiments.errors import UserError

NAMES = ["no", "yes"]
FACES = [1] * 35 + [0] * 165
SHARES = {"val_share": 0.2, "test_share": 0.2}


def test_every_part_has_the_classes_in_the_proportion_of_the_whole() -> None:
    parts = split(FACES, NAMES, val_share=0.25, test_share=0.2)
    counts = {name: sum(FACES[index] for index in part) for name, part in parts.items()}
    assert counts == {"test": 7, "val": 7, "train": 21}
    assert {name: len(part) for name, part in parts.items()} == {
        "test": 40,
        "val": 40,
        "train": 120,
    }
    assert sorted(chain(*parts.values())) == list(range(200))


def test_each_picture_tests_in_exactly_one_fold_and_folds_are_alike() -> None:
    tests = []
    for fold in range(4):
        parts = split(FACES, NAMES, **SHARES, folds=4, fold=fold)
        tests += parts["test"]
        assert sorted(chain(*parts.values())) == list(range(200))
        assert sum(FACES[index] for index in parts["test"]) in (8, 9)
        assert len(parts["test"]) == 50
    assert sorted(tests) == list(range(200))


def test_a_split_depends_on_its_seed_alone() -> None:
    assert split(FACES, NAMES, **SHARES) == split(FACES, NAMES, **SHARES)
    assert split(FACES, NAMES, **SHARES) != split(FACES, NAMES, **SHARES, seed=2)


@pytest.mark.parametrize(
    ("labels", "options", "told"),
    [
        ([0, 0, 0, 0, 1], {}, "class yes are too few"),
        (FACES, {"val_share": 0.0}, "data.val_share=0.0"),
        (FACES, {"test_share": 1.0}, "data.test_share=1.0"),
        (FACES, {"folds": 1}, "data.folds=1"),
        (FACES, {"folds": 5, "fold": 5}, "data.fold=5 is not one of 0 to 4"),
        (FACES, {"fold": 1}, "needs data.folds"),
    ],
)
def test_an_impossible_split_is_refused(
    labels: list[int], options: dict[str, float], told: str
) -> None:
    with pytest.raises(UserError, match=told):
        split(labels, NAMES, **{**SHARES, **options})  # type: ignore[arg-type]
