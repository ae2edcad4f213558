"""A table as one self-contained page: light or dark, sorted by a click, no server needed."""

import jinja2
from markupsafe import Markup

from sr_experiments.reporting import web
from sr_experiments.reporting.tables.table import Column, Origin, Row, Table

LONG = 44  # characters from which a column of text may wrap

PART = """<p>{{ table.about }}{% if table.sortable %} A click on a heading sorts by it.{% endif %}
</p>
<div class="rows"><table{% if table.sortable %} class="sortable"{% endif %}>
<thead><tr>{% for column in columns %}
<th class="{{ kinds[column.key] }}" title="{{ column.help }}">
{%- if table.sortable %}<button>{{ column.title }}</button>{% else %}{{ column.title }}{% endif %}
</th>{% endfor %}</tr></thead>
{% for group in groups %}<tbody>
{% for row in group %}<tr>{% for column in columns %}
<td class="{{ kinds[column.key] }} {{ column.judge(row.get(column.key)) }}"
{%- if number(row, column) is not none %} data-value="{{ number(row, column) }}"{% endif %}>
{{- column.show(row.get(column.key)) }}</td>{% endfor %}</tr>
{% endfor %}</tbody>
{% endfor %}</table></div>
{% if explained %}<h{{ level }}>Columns</h{{ level }}>
<dl>{% for column in explained %}<dt>{{ column.title }}</dt><dd>{{ column.help }}</dd>
{% endfor %}</dl>{% endif %}
{% if table.notes %}<h{{ level }}>Notes</h{{ level }}>
<ul>{% for note in table.notes %}<li>{{ note }}</li>
{% endfor %}</ul>{% endif %}
"""
TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<title>{{ table.title }}</title>
<style>
{{ style }}
body { max-width: max-content; } ul, dl, p, pre { max-width: 75rem; }
</style></head><body>
<h1>{{ table.title }}</h1>
{{ part }}
<h2>To repeat it</h2>
<pre>{{ origin.command }}</pre>
<p>{{ origin.hardware }}; {{ origin.software }}</p>
{% if table.sortable %}<script>{{ script }}</script>{% endif %}
</body></html>
"""


def as_html(table: Table, origin: Origin) -> str:
    """The page; everything that people typed is text on it."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    script = web.asset("sort.js")
    return environment.from_string(TEMPLATE).render(
        table=table,
        part=table_part(table),
        origin=origin,
        script=script,
        policy=web.policy(script),
        style=web.asset("page.css", "table.css"),
    )


def table_part(table: Table, level: int = 2) -> Markup:
    """The table without its title, for a page that has `web.asset` of table.css and sort.js.

    Args:
        table: What to show.
        level: Of the headings above the columns' and the table's remarks.
    """
    columns = table.used()
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return Markup(
        environment.from_string(PART).render(
            table=table,
            level=level,
            columns=columns,
            groups=[table.rows] if table.sortable else table.groups,
            explained=[column for column in columns if column.help],
            kinds={column.key: _kind(column, table) for column in columns},
            number=_number,
        )
    )


def _kind(column: Column, table: Table) -> str:
    if column.form:
        return "number"
    longest = max(len(column.show(row.get(column.key))) for row in table.rows)
    return "long" if longest > LONG else "text"


def _number(row: Row, column: Column) -> float | int | None:
    cell = row.get(column.key)
    return None if cell is None or isinstance(cell, str) else cell
