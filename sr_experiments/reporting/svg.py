"""Charts of matplotlib as a part of a page: the page's colours, and words on what is pointed at."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#010203"  # stands for the page's own colour of text, light or dark
SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
NOT_WRITTEN = dict.fromkeys(("Creator", "Date", "Format", "Type"))  # the same bytes every time
COLOURS = (
    "#3b7dd8", "#d9822b", "#3fa34d", "#c2477f", "#8a63d2", "#1f9e9e", "#b58900", "#d64545",
)  # fmt: skip
FAINT = "#8888"


@contextmanager
def themed() -> Iterator[None]:
    """Figures made inside take the page's colours, and names out of folders as they are."""
    from matplotlib import rc_context

    inks = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    grounds = ("figure.facecolor", "axes.facecolor", "savefig.facecolor")
    settings: dict[Any, Any] = {
        **dict.fromkeys(inks, INK),
        **dict.fromkeys(grounds, "none"),
        "svg.fonttype": "none",
        "svg.hashsalt": "sr_experiments",
        "text.parse_math": False,
        "font.family": "sans-serif",
        "legend.frameon": False,
        "axes.grid": True,
        "grid.color": "#888",
        "grid.alpha": 0.25,
    }
    with rc_context(settings):
        yield


def inline(figure: "Figure", label: str, said: Mapping[str, str]) -> Markup:
    """The figure as an ``<svg>`` element.

    Args:
        figure: Made inside of `themed`.
        label: What it shows, for those who cannot see it.
        said: Words by the ``gid`` of what is pointed at.
    """
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    out = io.BytesIO()
    figure.savefig(out, format="svg", metadata=NOT_WRITTEN)
    root = ElementTree.fromstring(out.getvalue())
    width = root.attrib.pop("width")
    root.attrib.pop("height")
    root.set("style", f"max-width: {width}; min-width: calc(.75 * {width}); width: 100%")
    root.set("role", "img")
    root.set("aria-label", label)
    for element in root.iter():
        words = said.get(element.get("id", ""))
        if words is not None:
            title = ElementTree.Element(f"{{{SVG}}}title")
            title.text = words
            element.insert(0, title)
            element.set("class", "point")
    return Markup(ElementTree.tostring(root, encoding="unicode").replace(INK, "currentColor"))
