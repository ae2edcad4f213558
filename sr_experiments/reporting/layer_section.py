"""The part of a run's page that shows what INT8 does to each layer."""

from pathlib import Path

import jinja2
from markupsafe import Markup

from sr_experiments.reporting.layer_report import (
    COLUMNS,
    layer_plot,
    read_layers,
    sensitivity_rows,
    sensitivity_verdict,
    table_rows,
    verdict,
)

TEMPLATE = """<h2>What INT8 does to each layer</h2>
<p>{{ verdict }}</p>
<figure><img alt="Signal to quantisation noise of each layer" src="{{ plot }}">
<figcaption>Signal to quantisation noise of each layer's output, with everything before it in INT8
(blue), and of what the layer itself adds (orange); LiteRT's integers against floating point, on
validation photos.</figcaption></figure>
<div class="scroll"><table>
<tr>{% for name, help in columns %}<th title="{{ help }}">{{ name }}</th>{% endfor %}</tr>
{% for row in rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table></div>
{% if head %}<p>Change of PSNR in dB. {{ about }}.</p>
<div class="scroll"><table>
<tr>{% for cell in head %}<th>{{ cell }}</th>{% endfor %}</tr>
{% for row in changes %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table></div>{% endif %}
"""


def layer_section(folder: Path) -> Markup:
    """HTML for a run whose folder has ``layers.json``; nothing for any other."""
    layers, sweep = read_layers(folder)
    if not layers:
        return Markup()
    head, changes = sensitivity_rows(sweep) if sweep is not None else ([], [])
    page = jinja2.Environment(autoescape=True).from_string(TEMPLATE)
    made = page.render(
        verdict=verdict(layers),
        plot=layer_plot(layers),
        columns=COLUMNS.items(),
        rows=table_rows(layers),
        head=head,
        changes=changes,
        about=None if sweep is None else sensitivity_verdict(sweep),
    )
    return Markup(made)  # jinja2 has escaped it
