"""``report.html`` of a study: heat maps, profiles, findings, the best and the worst batches."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from sr_experiments.files import write_atomic
from sr_experiments.reporting.page_parts import STYLE, command, embed, machine
from sr_experiments.reporting.run_folder import RunFolder

__all__ = ["GRADIENT_STUDY", "write_study_page"]

GRADIENT_STUDY = "gradient_study"  # ``kind`` of the summary
COLUMNS = (
    "phase",
    "epochs",
    "quarter 1",
    "2",
    "3",
    "4",
    "low tenth",
    "middle",
    "high tenth",
    "correlation with the quarter",
    "with the place",
)

TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
{{ style }}
.batch img { image-rendering: pixelated; }</style></head><body>
<h1>{{ title }}</h1>
<p class="facts">{% for value, name in facts %}<span><b>{{ value }}</b> {{ name }}</span>
{% endfor %}</p>
<p>Pictures are sorted by {{ study.sorted_by }}.</p>
{% if study.phases %}<h2>Which batches stand for the whole set?</h2>
<figure><img alt="heat maps" src="{{ heat }}"><figcaption>Euclidean distance of each mini-batch's
gradient to the mean of all, at the parameters that its epoch starts with. Light is short. Each
phase has a scale of its own.</figcaption></figure>
<figure><img alt="profiles" src="{{ profile }}"><figcaption>Mean over the epochs of a phase, each
epoch divided by its mean: below 1 is closer than the average batch.</figcaption></figure>
<div class="scroll"><table>
<caption>Relative distance by quarter of the metric, of a tenth at either end and of what is between
them; Spearman's rank correlation of distance with the metric</caption>
<tr>{% for name in columns %}<th>{{ name }}</th>{% endfor %}</tr>
{% for row in rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table></div>
{% if study.findings %}<h2>The paper's findings</h2>
<div class="scroll"><table><tr><th>finding</th><th>here</th><th>numbers</th></tr>
{% for one in study.findings %}<tr><td>{{ one.claim }}</td><td>{{ one.verdict }}</td>
<td>{{ one.numbers }}</td></tr>
{% endfor %}</table></div>
<p>Supported: every part of the sentence holds, and fewer than one in twenty groups of batches
drawn at random go as far. In part: some of it does.</p>{% endif %}
{% if study.sketch %}<h2>Sketched against exact distances</h2>
<div class="scroll"><table><tr><th>phase</th><th>batches</th><th>epochs</th><th>relative error</th>
<th>worst</th><th>rank correlation</th><th>worst</th></tr>
{% for one in study.sketch %}<tr><td>{{ one.phase }}</td><td>{{ one.batches }}</td>
<td>{{ one.epochs }}</td><td>{{ "%.2f%%" % (100 * one.error) }}</td>
<td>{{ "%.2f%%" % (100 * one.worst) }}</td><td>{{ "%.3f" % one.rank_correlation }}</td>
<td>{{ "%.3f" % one.worst_rank_correlation }}</td></tr>
{% endfor %}</table></div>{% endif %}
<h2>Pictures of the best and the worst batch of each phase</h2>
{% for caption, picture in batches %}<figure class="batch"><img alt="{{ caption }}"
src="{{ picture }}"><figcaption>{{ caption }}</figcaption></figure>
{% endfor %}{% endif %}
{% if curves %}<h2>Training</h2>
<figure><img alt="loss and score by epoch" src="{{ curves }}"><figcaption>Loss on the training
batches, and score on validation pictures.</figcaption></figure>{% endif %}
<h2>To repeat it</h2>
<pre>python -m sr_experiments {{ command }}</pre>
<p>{{ machine }}</p>
</body></html>
"""


def write_study_page(folder: RunFolder) -> Path:
    """Write the page of a study.

    Args:
        folder: A run that has a summary.

    Returns:
        Path of ``report.html``.
    """
    summary = folder.summary()
    study: Mapping[str, Any] = summary["study"]
    images = folder.path / "images"
    page = jinja2.Environment(autoescape=True).from_string(TEMPLATE)
    text = page.render(
        style=STYLE,
        title=f"{summary.get('model')}: {folder.path.parent.name}/{folder.path.name}",
        facts=_facts(summary),
        study=study,
        heat=_picture(images / "heat_maps.png"),
        profile=_picture(images / "profile.png"),
        columns=COLUMNS,
        rows=[_row(phase) for phase in study.get("phases", [])],
        batches=[
            (_caption(path.stem, study["batches"]), _picture(path))
            for path in sorted(images.glob("phase_*_batch_*.png"))
        ],
        curves=_curves(folder, study["score"]),
        command=command(folder),
        machine=machine(folder),
    )
    path = folder.path / "report.html"
    write_atomic(path, text)
    return path


def _facts(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    study = summary["study"]
    facts = [(f"{summary['params']:,}", "parameters")]
    if "batches" in study:
        facts.append((f"{study['batches']} x {study['batch_size']}", "batches x pictures"))
    facts += [
        (f"{size / 2**20:.1f}", f"MiB an epoch, {name}")
        for name, size in study.get("stored_bytes", {}).items()
    ]
    return facts + [(f"{value:.4g}", f"test {name}") for name, value in summary["test"].items()]


def _row(phase: Mapping[str, Any]) -> list[str]:
    first, last = phase["epochs"]
    numbers = [*phase["quartiles"], phase["low"], phase["middle"], phase["high"]]
    return [
        str(phase["phase"]),
        f"{first}-{last}",
        *(f"{number:.3f}" for number in numbers),
        f"{phase['quarter_correlation']:+.2f}",
        f"{phase['rank_correlation']:+.2f}",
    ]


def _caption(stem: str, batches: int) -> str:
    """Of a file such as ``phase_1_best_batch_37``."""
    _, phase, word, _, place = stem.split("_")
    nearness = {"best": "closest to", "worst": "farthest from"}[word]
    return f"phase {phase}: {nearness} the full gradient is batch {place} of {batches}"


def _picture(path: Path) -> str | None:
    return embed(path.read_bytes(), "png") if path.is_file() else None


def _curves(folder: RunFolder, score: str) -> str | None:
    rows = folder.metrics()
    if len(rows) < 2:
        return None
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(9, 2.8), layout="constrained")
    for axes, key in zip(canvas.subplots(1, 2), ("train/loss", score), strict=True):
        epochs = [int(row["epoch"]) + 1 for row in rows]
        axes.plot(epochs, [float(row[key]) for row in rows], ".-", color="#3b7dd8")
        axes.set_ylabel(key)
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.25)
    out = io.BytesIO()
    canvas.savefig(out, format="svg", metadata={"Date": None})
    return embed(out.getvalue(), "svg+xml")
