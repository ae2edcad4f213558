"""One self-contained page of several runs: light or dark, on a phone, without a server."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from sr_experiments.reporting import web
from sr_experiments.reporting.comparison import charts
from sr_experiments.reporting.comparison.differences import differences_table, images_table
from sr_experiments.reporting.comparison.members import Member, jobs_of
from sr_experiments.reporting.comparison.pictures import MOST_RUNS, shared_pictures
from sr_experiments.reporting.layer_section import layer_section
from sr_experiments.reporting.page_parts import command, machine
from sr_experiments.reporting.slider import Picture, slider
from sr_experiments.reporting.tables.html import table_part
from sr_experiments.reporting.tables.sweep import best_key, jobs_table
from sr_experiments.reporting.tables.table import Origin, Table

NAMED = 8  # runs with a colour of their own

TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<title>{{ title }}</title>
<style>
{{ style }}</style></head><body>
<h1>{{ title }}</h1>
{{ summary }}
{% if fronts %}<h2>Quality against cost</h2>
{% for front in fronts %}<figure class="chart">{{ front }}<output>Point at a network, or touch
it.</output></figure>
{% endfor %}<p>On the line: networks that no other beats in both. Time is what each run measured
when it ended, at 640x360: compare runs of one machine and as many threads.{% if threads %} These
used {{ threads }}.{% endif %}</p>{% endif %}
{% if curves %}<h2>Training</h2>
<figure class="chart">{{ curves }}<output>Point at a line, or touch it.</output><figcaption>RGB
PSNR on the validation images; dashed: the INT8 file of that epoch, run by LiteRT. Below, what INT8
costs.{% if faint %} The best {{ named }} have colours.{% endif %}</figcaption></figure>{% endif %}
{% if slider %}<h2>Pictures</h2>
{% if left_out %}<p>The best {{ shown }} of the runs that kept pictures; name others with
<code>runs=</code>.</p>{% endif %}
{{ slider }}{% endif %}
{% if layers %}<h2>Noise of INT8, layer by layer</h2>
{% for label, part in layers %}<details class="layers"><summary>{{ label }}</summary>
{{ part }}</details>
{% endfor %}{% endif %}
{% for heading, part in comparisons %}<h2>{{ heading }}</h2>
{{ part }}{% endfor %}
<h2>To repeat it</h2>
{% for run in runs %}<details><summary>{{ run.label }}</summary>
<pre>python -m sr_experiments {{ run.command }}</pre><p>{{ run.machine }}</p></details>
{% endfor %}<p>This page:</p>
<pre>{{ origin.command }}</pre>
<p>{{ origin.hardware }}; {{ origin.software }}</p>
<script>{{ script }}</script>
</body></html>
"""


def best_first(members: Sequence[Member], table: Table) -> list[Member]:
    """Runs in the order of their table."""
    places = {row["job"]: place for place, row in enumerate(table.rows)}
    return sorted(members, key=lambda member: places[member.label])


def comparison_page(
    members: Sequence[Member], table: Table, origin: Origin, pictures_per_set: int
) -> str:
    """The page.

    Args:
        members: Runs, in the order that people named them.
        table: Their `jobs_table`.
        origin: How the page was made.
        pictures_per_set: In the slider.
    """
    ordered = [member for member in best_first(members, table) if member.finished]
    # What people named first is what they compare with; of a sweep, the best is.
    pair = [member for member in members if member.finished]
    pictures, shown = shared_pictures(ordered, pictures_per_set)
    script = web.asset("sort.js", "hover.js", "slider.js")
    comparisons = _comparisons(pair if len(pair) == 2 else ordered)
    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return page.from_string(TEMPLATE).render(
        title=table.title,
        style=web.asset("page.css", "table.css", "slider.css"),
        script=script,
        policy=web.policy(script),
        summary=table_part(table, level=3),
        fronts=_fronts(table),
        threads=_threads(ordered),
        curves=charts.curves(ordered, NAMED),
        faint=len(ordered) > NAMED,
        named=NAMED,
        slider=_slider(pictures),
        shown=len(shown),
        left_out=len(shown) == MOST_RUNS < len(ordered),
        layers=_layers(ordered),
        comparisons=comparisons,
        runs=[
            {
                "label": member.label,
                "command": command(member.folder),
                "machine": machine(member.folder),
            }
            for member in best_first(members, table)
        ],
        origin=origin,
    )


def _fronts(table: Table) -> list[Markup]:
    """One chart for each set that INT8 files, or else networks, were tested on."""
    best = best_key(table.rows)
    if best is None:
        return []
    ending = " INT8" if best.endswith(" INT8") else " FP32"
    keys = [column.key for column in table.used() if column.key.endswith(ending)]
    made = [charts.pareto(table.rows, key, f"front-{at}") for at, key in enumerate(keys)]
    return [chart for chart in made if chart is not None]


def _slider(pictures: Sequence[Picture]) -> Markup | None:
    """Bicubic beside what the best run ships."""
    if not pictures:
        return None
    kinds = len(pictures[0].layers)
    return slider(pictures, right=pictures[0].layers[min(2, kinds - 1)].label)


def _threads(members: Sequence[Member]) -> str:
    found = {_mapping(member.summary.get("latency_ms")).get("threads") for member in members}
    counts = sorted(str(count) for count in found if isinstance(count, int))
    if not counts:
        return ""
    return f"{' and '.join(counts)} thread{'s' if counts != ['1'] else ''}"


def _layers(members: Sequence[Member]) -> list[tuple[str, Markup]]:
    """Of the best runs whose layers were measured."""
    made = ((member.label, _layers_of(member)) for member in members)
    return list(itertools.islice(((label, part) for label, part in made if part), MOST_RUNS))


def _layers_of(member: Member) -> Markup:
    try:
        return layer_section(member.folder.path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Markup()  # one damaged file is no reason to have no page


def _comparisons(members: Sequence[Member]) -> list[tuple[str, Markup]]:
    if len(members) < 2:
        return []
    tables = [differences_table(members, "differences")]
    if len(members) == 2:
        tables.append(images_table(members[1], members[0], "images"))
    return [(table.title, table_part(table, level=3)) for table in tables if table is not None]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def sweep_page(folder: Path, command_line: str) -> None:
    """The end of a sweep: its table printed, ``summary.csv``, ``.md``, ``.tex`` and the page.

    Args:
        folder: The sweep's.
        command_line: What started it.
    """
    deliver_page(jobs_of(folder), "summary", f"Sweep {folder.name}", command_line, folder, 3)


def deliver_page(
    members: Sequence[Member], name: str, title: str, command_line: str, folder: Path, pictures: int
) -> None:
    """Print the table of runs, and write it as CSV, Markdown and LaTeX beside the page.

    Args:
        members: Runs.
        name: Stem of the files.
        title: Heading.
        command_line: What to type to make them again.
        folder: Where to.
        pictures: Of each set, in the slider.
    """
    from sr_experiments.reporting.tables.render import deliver

    deliver(
        jobs_table(members, name, title),
        command_line,
        folder,
        lambda table, origin: comparison_page(members, table, origin, pictures),
    )
