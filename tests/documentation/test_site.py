"""The pages under ``docs/`` build without a broken link, and need nothing from the network."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sr_experiments.configuration.locations import groups

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("material", reason='pip install "sr_experiments[docs]"')
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return folder


def text_of(page: Path) -> str:
    return re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8"))


def test_every_group_has_a_page_with_its_options(site: Path) -> None:
    for group, names in groups().items():
        if group == "hydra":
            continue
        page = (site / "groups" / f"{group.replace('/', '-')}.html").read_text(encoding="utf-8")
        for name in names:
            if group != "task" or "/" not in name:
                assert re.search(rf"<h2[^>]*>{re.escape(name)}<", page), f"{group}={name}"


def test_a_key_stands_beside_its_default_and_its_comment(site: Path) -> None:
    text = text_of(site / "groups" / "optimizer.html")
    assert re.search(r"amsgrad\s+false\s+keep the largest denominator seen, as SESR does", text)
    text = text_of(site / "groups" / "model.html")
    assert re.search(r"depthwise\s+false\s+true: depthwise in place of grouped", text)


def test_what_the_yaml_leaves_unsaid_the_class_says(site: Path) -> None:
    text = text_of(site / "groups" / "model.html")
    assert re.search(r"num_blocks\s+4\s+Convolutions between the first and the last two", text)


def test_a_placeholder_in_a_comment_is_shown_and_shared_keys_are_linked(site: Path) -> None:
    page = (site / "groups" / "data.html").read_text(encoding="utf-8")
    assert "(&lt;data_dir&gt;/cifar10/cifar10_jpg.zip)" in page
    assert '<a href="#basesampling">' in page
    assert 'id="basesampling"' in page


def test_no_page_loads_anything_from_the_network(site: Path) -> None:
    loads = re.compile(r"""<(?:script|img|iframe)[^>]+src="?https?:|<link[^>]+href="?https?:""")
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 30
    assert not [page.name for page in pages if loads.search(page.read_text(encoding="utf-8"))]
    sheets = [sheet.read_text(encoding="utf-8") for sheet in site.rglob("*.css")]
    assert not [sheet for sheet in sheets if re.search(r"url\(['\"]?https?:|@import", sheet)]
