"""``report.html``: one self-contained page that explains a run; it needs no server.

Made from the run folder alone, so that it can be made again from an old one.
"""

import io
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from sr_experiments.files import write_atomic
from sr_experiments.reporting import web
from sr_experiments.reporting.classification.page import CLASSIFICATION, write_classifier_page
from sr_experiments.reporting.image_scores import read_scores
from sr_experiments.reporting.layer_section import layer_section
from sr_experiments.reporting.page_parts import STYLE, command, embed, machine
from sr_experiments.reporting.panels import pictures_of
from sr_experiments.reporting.published import Figure, published
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.reporting.slider import slider
from sr_experiments.reporting.stage_rows import stage_rows
from sr_experiments.reporting.wording import counted
from sr_experiments.studies.page import GRADIENT_STUDY, write_study_page

FP32_COLOUR, INT8_COLOUR = "#3b7dd8", "#d9822b"

TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<title>{{ title }}</title>
<style>
{{ style }}</style></head><body>
<h1>{{ title }}</h1>
<p class="facts">{% for value, name in facts %}<span><b>{{ value }}</b> {{ name }}</span>
{% endfor %}</p>
<h2>Quality</h2>
<div class="scroll"><table>
<caption>Luma PSNR in dB and SSIM, border of the scale cut, mean over images</caption>
<tr><th>set</th><th>bicubic</th><th>FP32</th><th>{{ kind }}</th><th>drop, dB</th>
<th>published, FP32</th></tr>
{% for row in rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table></div>
{% if reference %}<p>FP32 is the {{ reference }}, here and in <code>model_fp32.tflite</code>;
<code>model.safetensors</code> holds the weights that were trained for INT8.</p>{% endif %}
{% if sources %}<p>Published: {{ sources }}. Trained on other data and for longer, unless the
command below says otherwise.</p>{% endif %}
{% if stages or curves %}<h2>Training</h2>{% endif %}
{% if stages %}<div class="scroll"><table>
<caption>RGB PSNR on the validation images, of the best network of each stage</caption>
<tr>{% for cell in stages[0] %}<th>{{ cell }}</th>{% endfor %}</tr>
{% for row in stages[1:] %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table></div>{% endif %}
{% if curves %}<figure><img alt="PSNR and drop by epoch" src="{{ curves }}"><figcaption>RGB
PSNR on the validation images: FP32, and the {{ kind }} file of that epoch run by LiteRT; below,
what {{ kind }} costs. Dotted: a new stage.</figcaption>
</figure>{% endif %}
{{ layers }}
{% if slider %}<h2>Pictures</h2>
{{ slider }}
{% elif strips %}<h2>Pictures</h2>
{% for name, picture in strips %}<figure><img alt="{{ name }}" src="{{ picture }}">
<figcaption>{{ name }}</figcaption></figure>
{% endfor %}{% endif %}
<h2>To repeat it</h2>
<pre>python -m sr_experiments {{ command }}</pre>
<p>{{ machine }}</p>
{% if slider %}<script>{{ script }}</script>
{% endif %}</body></html>
"""


def write_page(folder: RunFolder) -> Path:
    """Write the page of a run.

    Args:
        folder: A run that has a summary.

    Returns:
        Path of ``report.html``.
    """
    summary = folder.summary()
    if summary.get("kind") == CLASSIFICATION:
        return write_classifier_page(folder)
    if summary.get("kind") == GRADIENT_STUDY:
        return write_study_page(folder)
    config = folder.config()
    network = str(config.get("model", {}).get("_target_", "")).rpartition(".")[2]
    figures = _figures(summary, network)
    strips = sorted((folder.path / "images").glob("*.png"))
    pictures = pictures_of(folder.path, read_scores(folder.path))
    script = web.asset("slider.js")
    page = jinja2.Environment(autoescape=True).from_string(TEMPLATE)
    text = page.render(
        style=STYLE + web.asset("slider.css"),
        policy=web.policy(script),
        script=script,
        slider=slider(pictures) if pictures else None,
        title=f"{network} x{summary.get('scale')}: {folder.path.parent.name}/{folder.path.name}",
        facts=_facts(summary),
        rows=[_row(name, scores, figures) for name, scores in summary.get("test", {}).items()],
        sources="; ".join(dict.fromkeys(figure.source for figure in figures.values())),
        stages=stage_rows(folder.stages()) if folder.stages() else [],
        reference=summary.get("fp32_reference"),
        kind=_kind(summary).upper(),
        curves=_curves(folder, _kind(summary)),
        layers=layer_section(folder.path),
        strips=[]
        if pictures
        else [(path.stem, embed(path.read_bytes(), "png")) for path in strips],
        command=command(folder),
        machine=machine(folder),
    )
    path = folder.path / "report.html"
    write_atomic(path, text)
    return path


def _facts(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = []
    if summary.get("params") is not None:
        facts.append((f"{summary['params']:,}", "parameters"))
    if summary.get("macs") is not None:
        facts.append((f"{summary['macs'] / 1e9:.2f}", "GMAC at 640x360"))
    if summary.get("tflite_bytes") is not None:
        latency = summary["latency_ms"]
        threads = counted(latency["threads"], "thread")
        facts += [
            (f"{summary['tflite_bytes'] / 1024:.1f}", "KiB INT8"),
            (f"{latency['median']:.1f}", f"ms INT8, {threads} of this CPU"),
            (f"{summary['int8_drop']:+.3f}", "dB validation drop"),
        ]
    if summary.get("fp16") is not None:
        half = summary["fp16"]
        facts += [
            (f"{half['tflite_bytes'] / 1024:.1f}", "KiB FP16"),
            (f"{half['latency_ms']['median']:.1f}", "ms FP16 file, on this CPU"),
            (f"{half['drop']:+.3f}", "dB validation drop"),
        ]
    return facts


def _kind(summary: Mapping[str, Any]) -> str:
    """Which file stands beside FP32."""
    return "int8" if summary.get("fp16") is None else "fp16"


def _figures(summary: Mapping[str, Any], network: str) -> dict[str, Figure]:
    found: dict[str, Figure] = {}
    for name in summary.get("test", {}):
        for figure in published(network, name, summary["scale"]):
            if not figure.rgb and not figure.int8:
                found.setdefault(name, figure)
    return found


def _row(name: str, scores: Mapping[str, Any], figures: Mapping[str, Figure]) -> list[str]:
    cells = [name]
    kind = "fp16" if "fp16" in scores else "int8"
    for key in ("bicubic", "fp32", kind):
        score = scores.get(key)
        cells.append(f"{score['psnr_y']:.2f} / {score['ssim_y']:.4f}" if score else "")
    drop = scores["fp32"]["psnr_y"] - scores[kind]["psnr_y"] if kind in scores else None
    cells.append("" if drop is None else f"{drop:+.3f}")
    cells.append(f"{figures[name].psnr:.2f}" if name in figures else "")
    return cells


def _curves(folder: RunFolder, kind: str) -> str | None:
    rows = folder.metrics()
    if len(rows) < 2:
        return None
    from matplotlib.figure import Figure as Canvas

    measured = [row for row in rows if row.get(f"val_{kind}/psnr")]
    canvas = Canvas(figsize=(9, 4.6), layout="constrained")
    above, below = canvas.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    epochs = [int(row["epoch"]) + 1 for row in rows]
    dots = {"marker": ".", "markersize": 4}  # a stage may be a single epoch
    fp32 = [float(row.get("val_fp32/psnr") or row["val/psnr"]) for row in rows]
    above.plot(epochs, fp32, color=FP32_COLOUR, label="FP32", **dots)
    if measured:
        points = [int(row["epoch"]) + 1 for row in measured]
        psnr = [float(row[f"val_{kind}/psnr"]) for row in measured]
        above.plot(points, psnr, color=INT8_COLOUR, label=kind.upper(), **dots)
        drop = [float(row[f"val/{kind}_drop"]) for row in measured]
        below.plot(points, drop, color=INT8_COLOUR, **dots)
        below.axhline(0, color="#888", linewidth=0.8)
    for row, after in itertools.pairwise(rows):
        if row.get("stage") != after.get("stage"):
            for axes in (above, below):
                axes.axvline(int(row["epoch"]) + 1.5, color="#888", linewidth=0.8, linestyle=":")
    above.set_ylabel("PSNR, dB")
    below.set_ylabel("drop, dB")
    below.set_xlabel("epoch")
    above.legend(frameon=False)
    for axes in (above, below):
        axes.grid(alpha=0.25)
    out = io.BytesIO()
    canvas.savefig(out, format="svg", metadata={"Date": None})
    return embed(out.getvalue(), "svg+xml")
