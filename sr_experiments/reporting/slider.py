"""A slider between two pictures of the same place, for any page.

Left and right may be any of the layers, or a layer's error. The error is not stored: the browser
takes the difference to the original, eight times as bright and inverted, as on the strips.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import jinja2
from markupsafe import Markup

from sr_experiments.reporting.page_parts import embed

TEMPLATE = """<div class="slider">
<script type="application/json">{{ data|tojson }}</script>
<p class="controls">
<label>Picture <select class="choose-picture"></select></label>
<label>Left <select class="choose-left"></select></label>
<label>Right <select class="choose-right"></select></label>
<span class="zooms"><button type="button" class="zoom-out" aria-label="smaller">&minus;</button>
<output>1x</output>
<button type="button" class="zoom-in" aria-label="larger">+</button>
<button type="button" class="reset">Reset</button></span></p>
<div class="stage"><div class="pane right"></div><div class="pane left"></div>
<div class="handle" role="slider" tabindex="0" aria-label="where left ends and right begins"
aria-valuemin="0" aria-valuemax="100" aria-valuenow="50"></div></div>
<p class="hint">Drag the line. Larger: the buttons, a double click, two fingers, or the wheel with
Ctrl; then drag the picture. Below, the errors of the same place, eight times as bright: white is
no error.</p>
<div class="errors"></div></div>"""


@dataclass(frozen=True)
class Layer:
    """One version of a picture.

    Attributes:
        label: What people choose it by.
        webp: The file.
        note: What its error is captioned with beside the label, such as its PSNR.
    """

    label: str
    webp: bytes
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture in all its versions.

    Attributes:
        name: What people choose it by.
        width: Of every layer, in pixels.
        height: Of every layer, in pixels.
        layers: Versions; the original is the last.
    """

    name: str
    width: int
    height: int
    layers: Sequence[Layer]


def slider(
    pictures: Sequence[Picture], left: str | None = None, right: str | None = None
) -> Markup:
    """The slider as a part of a page, which has to hold `web.asset("slider.css")` and ``.js``.

    Args:
        pictures: At least one.
        left: Label of the layer that is shown first on the left; None: the first.
        right: Label on the right; None: the last before the original.
    """
    data = {
        "left": left,
        "right": right,
        "pictures": [
            {
                "name": picture.name,
                "width": picture.width,
                "height": picture.height,
                "layers": [
                    {
                        "label": layer.label,
                        "note": layer.note,
                        "source": embed(layer.webp, "webp"),
                    }
                    for layer in picture.layers
                ],
            }
            for picture in pictures
        ],
    }
    return Markup(jinja2.Environment(autoescape=True).from_string(TEMPLATE).render(data=data))
