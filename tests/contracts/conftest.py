"""Photos small enough for trainings of a moment."""

from pathlib import Path

import pytest
from PIL import Image
from skimage import data


@pytest.fixture(scope="session")
def photo_words(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Words that train on three places of a cat and validate on a fourth, 48 pixels wide."""
    root = tmp_path_factory.mktemp("cat")
    for part, places in (("train", ((70, 120), (120, 200), (20, 90))), ("val", ((140, 60),))):
        (root / part).mkdir()
        for number, (y, x) in enumerate(places):
            picture = Image.fromarray(data.chelsea()[y : y + 48, x : x + 48])
            picture.save(root / part / f"{number}.png")
    cache: Path = tmp_path_factory.getbasetemp() / "cache"
    return "data=folder", f"data.root={root}", f"paths.cache_dir={cache}"
