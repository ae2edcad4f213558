"""What INT8 does to each layer of a run: measured on LiteRT's integers, printed, kept, drawn."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from sr_experiments.deploy.cost import multiply_accumulates
from sr_experiments.deploy.layer_values import integer_values
from sr_experiments.files import write_json
from sr_experiments.functional.pixels import to_float
from sr_experiments.quantization.fake import QuantizedGraph
from sr_experiments.quantization.layer_noise import LayerNoise, advice, first_to_fix, layer_noise
from sr_experiments.quantization.sensitivity import Bits, Sensitivity, Sweep, noise_shares
from sr_experiments.reporting.page_parts import embed

FILE = "layers.json"
SIZE = 96  # pixels of the square that is cut out of each photo's middle
PICTURES = 4
SQNR_COLOUR, OWN_COLOUR = "#3b7dd8", "#d9822b"
COLUMNS = {
    "layer": "Name of the layer.",
    "operator": "What it computes.",
    "channels": "Of its output.",
    "SQNR": "Signal to quantisation noise of its output in dB, with all layers before it in INT8.",
    "own": "The same of the noise that the layer itself adds.",
    "kernel": "The same of its rounded kernel.",
    "saturated": "Share of its values that its range cuts off.",
    "range": "What its levels stand for.",
    "used": "What it makes of these pictures.",
    "filled": "Share of the range that is used.",
    "noise": "Share of the picture's noise that it makes, rounded by itself.",
}
NARROW = ("layer", "operator", "SQNR", "own", "kernel", "saturated", "filled", "noise")
WORK = 5e11  # multiply-accumulates that finding the shares of noise may take

Pictures = Sequence[tuple[Tensor, Tensor]]


def cut(pairs: Sequence[tuple[str, Tensor, Tensor]], count: int, size: int) -> Pictures:
    """The middle of the first few photos.

    Args:
        pairs: Name, low-resolution and high-resolution image, uint8.
        count: Photos at most.
        size: Side of the low-resolution square in pixels, at most.
    """
    made = []
    for index in range(min(count, len(pairs))):
        _, low_res, high_res = pairs[index]
        scale = high_res.shape[1] // low_res.shape[1]
        height, width = (min(size, side) for side in low_res.shape[1:])
        top, left = (low_res.shape[1] - height) // 2, (low_res.shape[2] - width) // 2
        low_res = low_res[:, top : top + height, left : left + width]
        top, left, height, width = (side * scale for side in (top, left, height, width))
        made.append((low_res, high_res[:, top : top + height, left : left + width]))
    return made


def measure_layers(
    quantized: QuantizedGraph, pictures: Pictures, work: float = math.inf
) -> list[LayerNoise]:
    """Noise of every layer, of LiteRT's integers against floating point.

    Args:
        quantized: On the CPU.
        pictures: Low-resolution and high-resolution images, uint8.
        work: Multiply-accumulates from which each layer's share of the noise is not measured.
    """
    images = [to_float(low_res)[None] for low_res, _ in pictures]
    layers = layer_noise(quantized, images, lambda image: integer_values(quantized, image))
    sizes = [(image.shape[2], image.shape[3]) for image in images]
    once = sum(multiply_accumulates(quantized.graph, *size) for size in sizes)
    if once * len(layers) > work:
        return layers
    shares = noise_shares(quantized, images)
    return [dataclasses.replace(layer, share=shares[layer.name]) for layer in layers]


def report_layers(
    folder: Path, quantized: QuantizedGraph, pairs: Sequence[tuple[str, Tensor, Tensor]]
) -> None:
    """Measure the layers on a few photos and keep the report in a run's folder.

    Args:
        folder: Of the run.
        quantized: What it ships.
        pairs: Name, low-resolution and high-resolution image, uint8.
    """
    write_layers(folder, measure_layers(quantized, cut(pairs, PICTURES, SIZE), WORK))


def write_layers(
    folder: Path, layers: Sequence[LayerNoise], sensitivity: Sweep | None = None
) -> None:
    """Keep a report in a run's folder."""
    values: dict[str, Any] = {"layers": [_plain(layer) for layer in layers]}
    if sensitivity is not None:
        values["sensitivity"] = {
            "exact": sensitivity.exact,
            "int8": sensitivity.int8,
            "layers": [
                {
                    "name": layer.name,
                    "alone": layer.alone,
                    "among": {bits_name(bits): psnr for bits, psnr in layer.among.items()},
                }
                for layer in sensitivity.layers
            ],
        }
    write_json(folder / FILE, {"schema_version": 1, **values})


def read_layers(folder: Path) -> tuple[list[LayerNoise], Sweep | None]:
    """What `write_layers` wrote; nothing where there is no such file."""
    if not (folder / FILE).is_file():
        return [], None
    values = json.loads((folder / FILE).read_text(encoding="utf-8"))
    found = values.get("sensitivity")
    sweep = found and Sweep(
        found["exact"],
        found["int8"],
        [
            Sensitivity(
                row["name"],
                row["alone"],
                {bits_of(name): psnr for name, psnr in row["among"].items()},
            )
            for row in found["layers"]
        ],
    )
    return [_layer(row) for row in values["layers"]], sweep


def bits_name(bits: Bits) -> str:
    """How tables call a number of bits."""
    return "float" if bits is None else str(bits)


def bits_of(name: str) -> Bits:
    """The number of bits that a table means."""
    return None if name == "float" else int(name)


def table_rows(layers: Sequence[LayerNoise]) -> list[list[str]]:
    """A row of ``COLUMNS`` for each layer."""
    return [
        [
            layer.name,
            layer.operator,
            str(layer.channels),
            _decibel(layer.sqnr),
            _decibel(layer.own),
            "" if layer.kernel is None else _decibel(layer.kernel),
            f"{layer.saturated:.3%}" if layer.saturated else "0",
            _ends(layer.range),
            _ends(layer.used),
            f"{layer.filled:.0%}",
            "" if layer.share is None else f"{layer.share:.0%}",
        ]
        for layer in layers
    ]


def narrow_rows(layers: Sequence[LayerNoise]) -> list[list[str]]:
    """The columns ``NARROW``, which a terminal has room for."""
    places = [list(COLUMNS).index(name) for name in NARROW]
    return [[row[place] for place in places] for row in table_rows(layers)]


def verdict(layers: Sequence[LayerNoise]) -> str:
    """Which layer to fix first, and how."""
    worst = first_to_fix(layers)
    share = "" if worst.share is None else f"{worst.share:.0%} of the picture's, "
    return f"{worst.name} adds most noise ({share}own {_decibel(worst.own)} dB): {advice(worst)}"


def sensitivity_rows(sweep: Sweep) -> tuple[list[str], list[list[str]]]:
    """Headings and a row for each layer, those that cost most first."""
    bits = list(sweep.layers[0].among)
    head = ["layer", "alone in INT8", *(f"in {bits_name(width)}" for width in bits)]
    rows = [
        [
            layer.name,
            f"{layer.alone - sweep.exact:+.3f}",
            *(f"{layer.among[width] - sweep.int8:+.3f}" for width in bits),
        ]
        for layer in sorted(sweep.layers, key=lambda layer: layer.alone)
    ]
    return head, rows


def sensitivity_verdict(sweep: Sweep) -> str:
    """What the rows of `sensitivity_rows` are relative to, and which layer costs most."""
    worst = min(sweep.layers, key=lambda layer: layer.alone)
    return (
        f"RGB PSNR: {sweep.exact:.3f} dB in floating point, {sweep.int8:.3f} dB in INT8; alone: "
        "this layer in INT8 and all others in floating point; other columns: this layer in other "
        f"bits and all others in INT8. {worst.name} costs most by itself"
    )


def layer_plot(layers: Sequence[LayerNoise]) -> str:
    """SQNR along the network, as the address of an ``<img>``."""
    from matplotlib.figure import Figure as Canvas

    names = [layer.name for layer in layers]
    canvas = Canvas(figsize=(9, 3.6), layout="constrained")
    axes = canvas.subplots()
    places = range(len(layers))
    dots: dict[str, Any] = {"marker": ".", "markersize": 5}
    axes.plot(places, _drawable(layers, "sqnr"), color=SQNR_COLOUR, label="SQNR so far", **dots)
    own = _drawable(layers, "own")
    axes.plot(places, own, color=OWN_COLOUR, label="own noise alone", linestyle="none", **dots)
    axes.set_ylabel("dB")
    some = [*places][:: max(1, math.ceil(len(layers) / 40))]
    axes.set_xticks(some, [names[place] for place in some], rotation=90, fontsize=7)
    axes.legend(frameon=False)
    axes.grid(alpha=0.25)
    out = io.BytesIO()
    canvas.savefig(out, format="svg", metadata={"Date": None})
    return embed(out.getvalue(), "svg+xml")


def _drawable(layers: Sequence[LayerNoise], key: str) -> list[float]:
    values = (float(getattr(layer, key)) for layer in layers)
    return [value if math.isfinite(value) else math.nan for value in values]


def _decibel(value: float) -> str:
    return "exact" if value == math.inf else f"{value:.1f}"


def _ends(ends: tuple[float, float]) -> str:
    return f"{ends[0]:.3g} .. {ends[1]:.3g}"


def _plain(layer: LayerNoise) -> dict[str, Any]:
    """A layer as JSON has it, which knows no infinity."""
    values = dataclasses.asdict(layer)
    return {key: "inf" if value == math.inf else value for key, value in values.items()}


def _layer(values: Mapping[str, Any]) -> LayerNoise:
    known: dict[str, Any] = {
        key: math.inf if value == "inf" else value for key, value in values.items()
    }
    for key in ("range", "used", "shared"):
        known[key] = tuple(known[key])
    return LayerNoise(**known)
