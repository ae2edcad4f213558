from html.parser import HTMLParser
from pathlib import Path

from sr_experiments.reporting.page import write_page
from sr_experiments.reporting.run_folder import RunFolder

SCORES = {"psnr_y": 32.0, "ssim_y": 0.9, "psnr_rgb": 30.0, "ssim_rgb": 0.88}


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.sources: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def page_of(folder: Path, overrides: str) -> Page:
    run = RunFolder(folder / "xlsr-x3" / "2026-01-01_00-00-00")
    run.path.mkdir(parents=True)
    run.write_config({"model": {"_target_": "sr_experiments.models.XLSR", "scale": 3}})
    (run.path / "overrides.yaml").write_text(overrides)
    run.write_summary(
        {
            "scale": 3,
            "params": 21_947,
            "macs": 4_980_326_400,
            "tflite_bytes": 36_000,
            "latency_ms": {"median": 35.0, "threads": 2},
            "int8_drop": 0.07,
            "test": {
                "set5": {
                    "bicubic": {**SCORES, "psnr_y": 30.39},
                    "fp32": SCORES,
                    "int8": {**SCORES, "psnr_y": 31.9},
                }
            },
        }
    )
    for epoch in range(3):
        row = {"epoch": epoch, "val/psnr": 30.0 + epoch, "val_int8/psnr": 29.9 + epoch}
        run.append_metrics({**row, "val/int8_drop": 0.1})
    parsed = Page()
    parsed.feed(write_page(run).read_text(encoding="utf-8"))
    return parsed


def test_the_page_shows_scores_beside_the_paper_and_needs_no_server(tmp_path: Path) -> None:
    page = page_of(tmp_path, "- model=xlsr\n- seed=3\n")
    text = " ".join(page.text)
    for expected in ("30.39 / 0.9000", "31.90 / 0.9000", "+0.100", "33.42", "model=xlsr seed=3"):
        assert expected in text, expected
    assert page.sources
    assert all(source.startswith("data:image/") for source in page.sources)


def test_what_a_user_typed_is_text_on_the_page(tmp_path: Path) -> None:
    page = page_of(tmp_path, "- run_name=<script>alert(1)</script>\n")
    assert "script" not in page.tags
    assert "<script>alert(1)</script>" in "".join(page.text)
