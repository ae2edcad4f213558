"""Figures that papers print, to be read beside our own.

Only rows whose protocol is the one used here: luma PSNR and SSIM with a border of the scale
cut off, except on DIV2K's validation part, where the mobile papers measure RGB.

The XLSR paper was read. VDSR's and EDSR's were not at hand: their rows are those that others
reprint alike, the README of AdderNet's authors (VDSR and EDSR, every scale), table 3 of Journal
of Multimedia Information System 8(2), page 101 (VDSR), and READMEs that reprint the benchmark
table of the EDSR paper (bicubic; Set5 also by our own measurement). EDSR's authors cut
``scale + 2`` pixels on DIV2K, where bicubic, VDSR and EDSR in the XLSR paper's table 4 are theirs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sr_experiments.reporting.literature import DIV2K_RGB, LUMA
from sr_experiments.reporting.papers import (
    XLSR_PAPER,
    XLSR_TABLE_4,
    XLSR_TABLE_4_METHODS,
    XLSR_TABLE_5,
)

BICUBIC = "Bicubic"
BENCHMARKS = ("set5", "set14", "b100", "urban100", "manga109")


@dataclass(frozen=True)
class Figure:
    """One number of a paper.

    Attributes:
        network: Class name as in ``sr_experiments.models``, or ``Bicubic``.
        set_name: Set as in ``conf/data``.
        scale: Enlargement.
        psnr: dB, of luma, or of RGB where ``rgb``.
        ssim: Of luma; None where the paper prints none.
        source: Paper and table.
        rgb: PSNR over RGB.
        int8: Of a quantised network.
    """

    network: str
    set_name: str
    scale: int
    psnr: float
    ssim: float | None
    source: str
    rgb: bool = False
    int8: bool = False


TABLE_4 = f"{XLSR_PAPER}, table 4"
TABLE_5 = f"{XLSR_PAPER}, table 5"
VDSR_PAPER = "VDSR paper (Kim et al., 2016), table 3, as others reprint it"
EDSR_PAPER = "EDSR paper (Lim et al., 2017), table 3, as others reprint it: 256 channels, 32 blocks"
ABPN_REPOSITORY = "ABPN authors' repository NJU-Jet/SR_Mobile_Quantization (border of 1 cut)"
DIV2K = "div2k:val"

# PSNR and SSIM on the first four of BENCHMARKS, by network and scale.
_VDSR_TABLE_3 = {
    (BICUBIC, 2): ((33.66, 0.9299), (30.24, 0.8688), (29.56, 0.8431), (26.88, 0.8403)),
    (BICUBIC, 3): ((30.39, 0.8682), (27.55, 0.7742), (27.21, 0.7385), (24.46, 0.7349)),
    (BICUBIC, 4): ((28.42, 0.8104), (26.00, 0.7027), (25.96, 0.6675), (23.14, 0.6577)),
    ("SRCNN", 2): ((36.66, 0.9542), (32.42, 0.9063), (31.36, 0.8879), (29.50, 0.8946)),
    ("SRCNN", 3): ((32.75, 0.9090), (29.28, 0.8209), (28.41, 0.7863), (26.24, 0.7989)),
    ("SRCNN", 4): ((30.48, 0.8628), (27.49, 0.7503), (26.90, 0.7101), (24.52, 0.7221)),
    ("VDSR", 2): ((37.53, 0.9587), (33.03, 0.9124), (31.90, 0.8960), (30.76, 0.9140)),
    ("VDSR", 3): ((33.66, 0.9213), (29.77, 0.8314), (28.82, 0.7976), (27.14, 0.8279)),
    ("VDSR", 4): ((31.35, 0.8838), (28.01, 0.7674), (27.29, 0.7251), (25.18, 0.7524)),
}
_EDSR_TABLE_3 = {
    2: ((38.11, 0.9601), (33.92, 0.9195), (32.32, 0.9013), (32.93, 0.9351)),
    3: ((34.65, 0.9282), (30.52, 0.8462), (29.25, 0.8093), (28.80, 0.8653)),
    4: ((32.46, 0.8968), (28.80, 0.7876), (27.71, 0.7420), (26.64, 0.8033)),
}
_ABPN = (30.22, 30.09)  # PSNR over RGB on DIV2K's validation part at x3: float, INT8


def _figures() -> Iterator[Figure]:
    """All of them; where two papers print the same, the one with SSIM comes first."""
    for (network, scale), rows in _VDSR_TABLE_3.items():
        for set_name, (psnr, ssim) in zip(BENCHMARKS[:4], rows, strict=True):
            yield Figure(network, set_name, scale, psnr, ssim, VDSR_PAPER)
    for (network, scale, source), luma in LUMA.items():
        for set_name, (psnr, either) in luma.items():
            yield Figure(network, set_name, scale, psnr, either, source)
    for scale, edsr in _EDSR_TABLE_3.items():
        for set_name, (psnr, ssim) in zip(BENCHMARKS[:4], edsr, strict=True):
            yield Figure("EDSR", set_name, scale, psnr, ssim, EDSR_PAPER)
    for set_name, row in XLSR_TABLE_4.items():
        for network, value in zip(XLSR_TABLE_4_METHODS, row, strict=True):
            if value is not None:
                rgb = set_name == DIV2K
                yield Figure(network, set_name, 3, value, None, TABLE_4, rgb=rgb)
    for network, (psnr, quantised, _) in XLSR_TABLE_5.items():
        yield from _floating_and_int8(network, psnr, quantised, TABLE_5)
    yield from _floating_and_int8("ABPN", *_ABPN, ABPN_REPOSITORY)
    for (network, source), by_scale in DIV2K_RGB.items():
        for scale, psnr in by_scale.items():
            yield Figure(network, DIV2K, scale, psnr, None, source, rgb=True)


def _floating_and_int8(
    network: str, psnr: float, quantised: float, source: str
) -> Iterator[Figure]:
    yield Figure(network, DIV2K, 3, psnr, None, source, rgb=True)
    yield Figure(network, DIV2K, 3, quantised, None, source, rgb=True, int8=True)


def published(network: str, set_name: str, scale: int) -> list[Figure]:
    """What is printed of a network on a set: the float figure, then the INT8 one if any.

    Args:
        network: Class name, or ``Bicubic``.
        set_name: Set as in ``conf/data``; DIV2K's validation part is ``div2k:val``.
        scale: Enlargement.
    """
    found: dict[bool, Figure] = {}
    for figure in _figures():
        if (figure.network, figure.set_name, figure.scale) == (network, set_name, scale):
            found.setdefault(figure.int8, figure)
    return [found[int8] for int8 in sorted(found)]
