"""Figures that papers print, to be read beside our own.

Only rows whose protocol is the one used here: luma PSNR and SSIM with a border of the scale
cut off, except on DIV2K's validation part, where the mobile papers measure RGB.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sr_experiments.reporting.literature import DIV2K_RGB, LUMA

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


XLSR_PAPER = "XLSR paper (Ayazoglu, 2021), table 4"
XLSR_INT8 = "XLSR paper (Ayazoglu, 2021), table 5"
VDSR_PAPER = "VDSR paper (Kim et al., 2016), table 3"
EDSR_PAPER = "EDSR paper (Lim et al., 2017), table 3: 256 channels, 32 blocks"
ABPN_REPOSITORY = "ABPN authors' repository NJU-Jet/SR_Mobile_Quantization (border of 1 cut)"

# PSNR at x3 on BENCHMARKS, in their order.
_XLSR_TABLE_4 = {
    BICUBIC: (30.41, 27.55, 27.22, 24.47, 26.99),
    "FSRCNN": (33.16, 29.43, 28.60, 26.48, 30.98),
    "ESPCN": (33.13, 29.42, 28.50, 26.41, 30.79),
    "VDSR": (33.66, 29.77, 28.82, 27.14, 32.01),
    "XLSR": (33.42, 29.73, 28.55, 26.71, 31.63),
}

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
    2: (38.11, 33.92, 32.32, 32.93),
    3: (34.65, 30.52, 29.25, 28.80),
    4: (32.46, 28.80, 27.71, 26.64),
}

# PSNR over RGB on DIV2K's validation part at x3: float and INT8.
_DIV2K = {
    (BICUBIC, XLSR_PAPER): (28.22, None),
    ("VDSR", XLSR_PAPER): (30.09, None),
    ("EDSR", XLSR_PAPER): (31.26, None),
    ("XLSR", XLSR_INT8): (30.10, 29.82),
    ("FSRCNN", XLSR_INT8): (29.67, 21.95),
    ("ESPCN", XLSR_INT8): (29.54, 23.93),
    ("ABPN", ABPN_REPOSITORY): (30.22, 30.09),
}


def _figures() -> Iterator[Figure]:
    """All of them; where two papers print the same, the one with SSIM comes first."""
    for (network, scale), rows in _VDSR_TABLE_3.items():
        for set_name, (psnr, ssim) in zip(BENCHMARKS[:4], rows, strict=True):
            yield Figure(network, set_name, scale, psnr, ssim, VDSR_PAPER)
    for (network, scale, source), luma in LUMA.items():
        for set_name, (psnr, either) in luma.items():
            yield Figure(network, set_name, scale, psnr, either, source)
    for scale, edsr in _EDSR_TABLE_3.items():
        for set_name, psnr in zip(BENCHMARKS[:4], edsr, strict=True):
            yield Figure("EDSR", set_name, scale, psnr, None, EDSR_PAPER)
    for network, row in _XLSR_TABLE_4.items():
        for set_name, psnr in zip(BENCHMARKS, row, strict=True):
            yield Figure(network, set_name, 3, psnr, None, XLSR_PAPER)
    for (network, source), (psnr, quantised) in _DIV2K.items():
        yield Figure(network, "div2k:val", 3, psnr, None, source, rgb=True)
        if quantised is not None:
            yield Figure(network, "div2k:val", 3, quantised, None, source, rgb=True, int8=True)
    for (network, source), by_scale in DIV2K_RGB.items():
        for scale, psnr in by_scale.items():
            yield Figure(network, "div2k:val", scale, psnr, None, source, rgb=True)


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
