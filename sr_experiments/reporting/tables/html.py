"""A table as one self-contained page: light or dark, sorted by a click, no server needed."""

import jinja2

from sr_experiments.reporting.tables.table import Column, Origin, Row, Table

LONG = 44  # characters from which a column of text may wrap

TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ table.title }}</title>
<style>
:root { color-scheme: light dark; --line: #8883; --faint: #8881; --good: #1a7f37; --bad: #c0392b; }
@media (prefers-color-scheme: dark) { :root { --good: #56d364; --bad: #ff7b72; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; padding: 0 1.5rem;
  max-width: max-content; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
.scroll { overflow: auto; max-height: 85vh; width: max-content; max-width: 100%;
  border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: separate; border-spacing: 0; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .55rem; text-align: right; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th { position: sticky; top: 0; background: Canvas; z-index: 1; vertical-align: bottom;
  white-space: normal; }
.text, .long { text-align: left; } td.long { white-space: normal; min-width: 18rem; }
th:first-child, td:first-child { position: sticky; left: 0; background: Canvas; }
th:first-child { z-index: 2; } td:first-child { font-weight: 600; white-space: nowrap; }
tbody + tbody tr:first-child td { border-top: 2px solid var(--line); }
tbody tr:hover td { background: color-mix(in srgb, Canvas 92%, CanvasText); }
th button { font: inherit; font-weight: 600; color: inherit; background: none; border: 0;
  padding: 0; cursor: pointer; text-align: inherit; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
.good { color: var(--good); } .bad { color: var(--bad); }
ul, dl, p, pre { max-width: 75rem; } dt { font-weight: 600; float: left; margin-right: .5rem; }
dd { margin: 0 0 .2rem; } pre { font: 13px/1.4 ui-monospace, monospace; overflow-x: auto;
  background: var(--faint); padding: .6rem; border-radius: 6px; }
</style></head><body>
<h1>{{ table.title }}</h1>
<p>{{ table.about }}{% if table.sortable %} A click on a heading sorts by it.{% endif %}</p>
<div class="scroll"><table{% if table.sortable %} id="sortable"{% endif %}>
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
{% if explained %}<h2>Columns</h2>
<dl>{% for column in explained %}<dt>{{ column.title }}</dt><dd>{{ column.help }}</dd>
{% endfor %}</dl>{% endif %}
{% if table.notes %}<h2>Notes</h2>
<ul>{% for note in table.notes %}<li>{{ note }}</li>
{% endfor %}</ul>{% endif %}
<h2>To repeat it</h2>
<pre>{{ origin.command }}</pre>
<p>{{ origin.hardware }}; {{ origin.software }}</p>
{% if table.sortable %}<script>
const table = document.getElementById("sortable"), body = table.tBodies[0];
const value = (row, i) => row.cells[i].dataset.value === undefined
  ? null : Number(row.cells[i].dataset.value);
table.querySelectorAll("th").forEach((head, i) => head.firstChild.addEventListener("click", () => {
  const up = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  const numeric = head.classList.contains("number");
  const rows = [...body.rows].sort((a, b) => {
    if (!numeric) return up * a.cells[i].textContent.localeCompare(b.cells[i].textContent);
    const x = value(a, i), y = value(b, i);
    return x === null || y === null ? (x === null) - (y === null) : up * (x - y);
  });
  body.append(...rows);
  table.querySelectorAll("th").forEach(other => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", up > 0 ? "ascending" : "descending");
}));
</script>{% endif %}
</body></html>
"""


def as_html(table: Table, origin: Origin) -> str:
    """The page; everything that people typed is text on it."""
    columns = table.used()
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(TEMPLATE).render(
        table=table,
        columns=columns,
        groups=[table.rows] if table.sortable else table.groups,
        explained=[column for column in columns if column.help],
        origin=origin,
        kinds={column.key: _kind(column, table) for column in columns},
        number=_number,
    )


def _kind(column: Column, table: Table) -> str:
    if column.form:
        return "number"
    longest = max(len(column.show(row.get(column.key))) for row in table.rows)
    return "long" if longest > LONG else "text"


def _number(row: Row, column: Column) -> float | int | None:
    cell = row.get(column.key)
    return None if cell is None or isinstance(cell, str) else cell
