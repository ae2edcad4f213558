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
            "stages": [
                {
                    "name": "fp32",
                    "steps": 600_000,
                    "seconds": 7500.0,
                    "loss": "l1",
                    "lr": 1e-3,
                    "scheduler": "step",
                    "patch": 64,
                    "batch_size": 16,
                    "quantization": "none",
                    "val/psnr": 30.22,
                },
                {
                    "name": "qat",
                    "steps": 220_000,
                    "seconds": 200.0,
                    "loss": "mse",
                    "lr": 1e-4,
                    "scheduler": "step",
                    "patch": 96,
                    "batch_size": 8,
                    "quantization": "ptq",
                    "val/psnr": 30.19,
                    "val_int8/psnr": 30.15,
                    "drop": 0.07,
                },
            ],
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
        row = {
            "epoch": epoch,
            "stage": "qat" if epoch else "fp32",
            "val/psnr": 30.0 + epoch,
            "val_int8/psnr": 29.9 + epoch,
        }
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


def test_the_stages_stand_in_a_table_with_what_each_was_trained_with(tmp_path: Path) -> None:
    page = page_of(tmp_path, "")
    cells = [text.strip() for text in page.text if text.strip()]
    start = cells.index("stage")
    header = cells[start : cells.index("fp32", start)]
    assert header == [
        "stage", "steps", "loss", "schedule", "lr", "patch", "batch", "quantisation",
        "PSNR, dB", "INT8, dB", "drop, dB", "time",
    ]  # fmt: skip
    after = start + len(header)
    fp32 = ["fp32", "600,000", "l1", "step", "0.001", "64", "16", "none", "30.22", "2 h 5 min"]
    assert cells[after : after + 10] == fp32  # empty cells have no text
    assert cells[after + 10 : after + 22] == [
        "qat", "220,000", "mse", "step", "0.0001", "96", "8", "ptq", "30.19", "30.15", "+0.070",
        "3 min 20 s",
    ]  # fmt: skip


def test_what_a_user_typed_is_text_on_the_page(tmp_path: Path) -> None:
    page = page_of(tmp_path, "- run_name=<script>alert(1)</script>\n")
    assert "script" not in page.tags
    assert "<script>alert(1)</script>" in "".join(page.text)
