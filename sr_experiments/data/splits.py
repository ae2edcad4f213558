"""Stratified splits: every part has each class in the proportion of the whole."""

from collections.abc import Sequence

import numpy as np

from sr_experiments.errors import UserError

__all__ = ["split"]

TRAIN, VAL, TEST = "train", "val", "test"


def split(
    labels: Sequence[int],
    classes: Sequence[str],
    *,
    val_share: float,
    test_share: float,
    folds: int | None = None,
    fold: int = 0,
    seed: int = 1,
) -> dict[str, list[int]]:
    """Part a set into what trains, what validates and what tests.

    Args:
        labels: Class of each picture.
        classes: Their names.
        val_share: Of what does not test.
        test_share: Of all; of no meaning with ``folds``.
        folds: Equal parts, of which each tests once (cross-validation); None: no such parts.
        fold: Which of them tests, from 0.
        seed: Of the draw. Equal seeds give equal splits, and the folds of a seed never overlap.

    Returns:
        ``train``, ``val`` and ``test``: indices, ascending.

    Raises:
        UserError: A share is out of range, or a class has too few pictures for every part.
    """
    _check(val_share, test_share, folds, fold)
    parts: dict[str, list[int]] = {TRAIN: [], VAL: [], TEST: []}
    dealt = 0  # the folds' remainders: no fold gets the odd picture of every class
    for index, name in enumerate(classes):
        own = np.flatnonzero(np.asarray(labels) == index)
        own = np.random.default_rng([seed, index]).permutation(own)
        if folds is None:
            tests = np.arange(len(own)) < round(test_share * len(own))
        else:
            tests = (np.arange(len(own)) + dealt) % folds == fold
            dealt += len(own)
        rest = own[~tests]
        validates = round(val_share * len(rest))
        pieces = {TEST: own[tests], VAL: rest[:validates], TRAIN: rest[validates:]}
        for part, piece in pieces.items():
            if len(piece) == 0:
                raise UserError(
                    f"data: {len(own)} pictures of class {name} are too few: none is left for "
                    f"{part}; change data.val_share, data.test_share or data.folds"
                )
            parts[part] += piece.tolist()
    return {part: sorted(indices) for part, indices in parts.items()}


def _check(val_share: float, test_share: float, folds: int | None, fold: int) -> None:
    for key, share in (("val_share", val_share), ("test_share", test_share)):
        if not 0 < share < 1:
            raise UserError(f"data.{key}={share} is not a share between 0 and 1")
    if folds is not None and folds < 2:
        raise UserError(f"data.folds={folds} is below 2")
    if folds is not None and not 0 <= fold < folds:
        raise UserError(f"data.fold={fold} is not one of 0 to {folds - 1}")
    if folds is None and fold != 0:
        raise UserError(f"data.fold={fold} needs data.folds, such as data.folds=5")
