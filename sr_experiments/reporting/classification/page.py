"""``report.html`` of a classifier: scores, curves, and pictures sorted by certainty."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from sr_experiments.files import write_atomic
from sr_experiments.reporting.page_parts import STYLE, command, embed, machine
from sr_experiments.reporting.run_folder import RunFolder

CLASSIFICATION = "classification"  # ``kind`` of the summary
COLUMNS = (
    ("loss", "loss"),
    ("accuracy", "accuracy"),
    ("balanced_accuracy", "balanced accuracy"),
    ("f1", "F1"),
    ("auroc", "AUROC"),
    ("calibration_error", "calibration error"),
    ("unsure_share", "unsure"),
)
CAPTIONS = {
    "val_by_certainty": "Validation pictures from the surest no to the surest yes. Red: the label "
    "says otherwise.",
    "test_by_certainty": "Test pictures, which neither trained nor chose the network.",
    "likely_label_errors": "Pictures whose label gets a probability below 0.2: wrong labels, or "
    "mistakes. One that trained and still is here is the likelier wrong label.",
    "feature_maps": "What each layer of the saved network makes of the test picture that it is "
    "surest of: its first maps, each from its least value (black) to its greatest.",
}

TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
{{ style }}</style></head><body>
<h1>{{ title }}</h1>
<p class="facts">{% for value, name in facts %}<span><b>{{ value }}</b> {{ name }}</span>
{% endfor %}</p>
<h2>Scores</h2>
<div class="scroll"><table>
<caption>Of the network of epoch {{ best }}, the best on the validation pictures</caption>
<tr><th>part</th><th>pictures</th>{% for _, name in columns %}<th>{{ name }}</th>{% endfor %}</tr>
{% for row in rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table></div>
{% if curves %}<h2>Training</h2>
<figure><img alt="loss and accuracy by epoch" src="{{ curves }}"><figcaption>Training: mean over
the batches of the epoch, with dropout, while the network changes. Validation: at its end. The dot:
the epoch whose network is kept.</figcaption></figure>{% endif %}
{% if pictures %}<h2>Pictures</h2>
{% for name, caption, picture in pictures %}<figure><img alt="{{ name }}" src="{{ picture }}">
<figcaption>{{ caption }}</figcaption></figure>
{% endfor %}{% endif %}
<h2>To repeat it</h2>
<pre>python -m sr_experiments {{ command }}</pre>
<p>{{ machine }}</p>
</body></html>
"""


def write_classifier_page(folder: RunFolder) -> Path:
    """Write the page of a classifier's run.

    Args:
        folder: A run that has a summary.

    Returns:
        Path of ``report.html``.
    """
    summary = folder.summary()
    best = best_epoch(folder)
    page = jinja2.Environment(autoescape=True).from_string(TEMPLATE)
    text = page.render(
        style=STYLE,
        title=f"{summary.get('model')}: {folder.path.parent.name}/{folder.path.name}",
        facts=_facts(summary),
        columns=COLUMNS,
        rows=[_row(name, summary) for name in ("train", "val", "test")],
        best="?" if best is None else best + 1,
        curves=_curves(folder, best),
        pictures=list(_pictures(folder)),
        command=command(folder),
        machine=machine(folder),
    )
    path = folder.path / "report.html"
    write_atomic(path, text)
    return path


def best_epoch(folder: RunFolder) -> int | None:
    """Epoch, from 0, of the network that the last stage left; None where no row says so."""
    stages = folder.stages()
    rows = folder.metrics()
    if not stages:
        return None
    left = stages[-1]
    for row in rows:
        if row.get("stage") == left["name"] and float(row["val/loss"]) == left.get("val/loss"):
            return int(row["epoch"])
    return None


def _facts(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    train = summary["train"]
    return [
        (f"{summary['params']:,}", "parameters"),
        (f"{summary['size']}x{summary['size']}", "pixels"),
        (f"{train['steps']:,}", f"steps in {train['seconds']:.0f} s"),
        (f"{summary['test']['accuracy']:.3f}", "test accuracy"),
        (f"{summary['test']['balanced_accuracy']:.3f}", "balanced"),
    ]


def _row(name: str, summary: Mapping[str, Any]) -> list[str]:
    scores = summary["scores"][name]
    return [name, str(summary["pictures"][name]), *(f"{scores[key]:.4f}" for key, _ in COLUMNS)]


def _pictures(folder: RunFolder) -> list[tuple[str, str, str]]:
    found = []
    for name, caption in CAPTIONS.items():
        path = folder.path / "images" / f"{name}.png"
        if path.is_file():
            found.append((name, caption, embed(path.read_bytes(), "png")))
    return found


def _curves(folder: RunFolder, best: int | None) -> str | None:
    rows = folder.metrics()
    if len(rows) < 2:
        return None
    from sr_experiments.reporting.classification.curves import Curve, draw

    canvas = draw([Curve("", rows, best)])
    out = io.BytesIO()
    canvas.savefig(out, format="svg", metadata={"Date": None})
    return embed(out.getvalue(), "svg+xml")
