"""What is known of each network of ``conf/model`` from its source, to hold ours against.

Counts are written as the source prints them. The sources of networks without a row print no
number; the comment at the head of their YAML says how their layout was found.
"""

import re
from dataclasses import dataclass

from sr_experiments.reporting.papers import MOBILE_AI_2022, XLSR_TABLE_1

_UNITS = {"": 1, "K": 1e3, "M": 1e6}


@dataclass(frozen=True)
class Source:
    """What a source says.

    Attributes:
        parameters: Of the network that ships, as printed, such as ``42.5K``; empty where none is.
        training: The same of the network that trains, where it says so.
        where: Which source prints them.
    """

    parameters: str = ""
    training: str = ""
    where: str = ""


_TABLE_1 = "XLSR paper, table 1"
_REPOSITORY = "authors' repository"

_SOURCES = {
    ("xlsr", 3): Source(XLSR_TABLE_1["XLSR"], where=_TABLE_1),
    ("espcn", 3): Source(XLSR_TABLE_1["ESPCN"], where=f"{_TABLE_1}, in RGB"),
    ("fsrcnn", 3): Source(XLSR_TABLE_1["FSRCNN"], where=f"{_TABLE_1}, in RGB"),
    ("vdsr", 3): Source(XLSR_TABLE_1["VDSR"], where=f"{_TABLE_1}, in RGB"),
    ("imdn", 3): Source(XLSR_TABLE_1["IMDN"], where=f"{_TABLE_1}; its authors' code has ours"),
    ("edsr", 2): Source("1.37M", where=f"{_REPOSITORY}, the baseline"),
    ("edsr", 3): Source("1.55M", where=f"{_REPOSITORY}, the baseline"),
    ("edsr", 4): Source("1.52M", where=f"{_REPOSITORY}, the baseline"),
    ("edsr_large", 2): Source("40.7M", where=_REPOSITORY),
    ("edsr_large", 3): Source("43.7M", where=_REPOSITORY),
    ("edsr_large", 4): Source("43.1M", where=_REPOSITORY),
    ("abpn", 3): Source("42.54K", where=_REPOSITORY),
    ("abpn_rrrb", 3): Source("42.5K", "140K", "report, 4.21"),
    ("ncnet", 3): Source("52,279", where="submitted file"),
    ("pureconvsr", 3): Source("37,199", "109,328", "submitted file; training: repository"),
}

# What the report (its section) and public code say of a layout whose size is in table 1.
LAYOUTS = {
    "scsrn": "width and 5 blocks stated (4.1)",
    "rpq": "48 channels before pruning stated, depth inferred (4.2)",
    "pureconvsr": "repository and submitted file",
    "hopn": "depth and width inferred (4.4)",
    "boenet": "depth stated, width inferred (4.5)",
    "emsrnet": "depth stated, width inferred (4.6)",
    "antins": "layout stated, width inferred (4.7)",
    "skipskip": "layout stated, width of ABPN (4.8)",
    "vccip": "depth stated, width of ABPN (4.9)",
    "ncnet": "repository and submitted file",
    "doublez": "depth inferred (4.11)",
    "s2r2": "depth inferred (4.12)",
    "lab216": "depth stated, width inferred (4.13)",
    "rbpn": "stated (4.14)",
    "abpn": "repository and public file",
    "abpn_plus_plus": "stated (4.15)",
    "rtsisr2022": "stated (4.16)",
    "xcat": "widths, kernels and depth are a guess (4.17)",
    "klab_sr": "stated (4.18) and repository",
    "acsr": "depth and width inferred (4.19)",
    "repgsr": "blocks and width stated, wiring a guess (4.20)",
    "abpn_rrrb": "stated (4.21)",
    "just_a_try": "stated (4.22)",
    "bilibili": "layout stated, width inferred (4.23)",
    "mobilesr": "layout stated, width inferred (4.24)",
    "kln": "depth stated, width inferred (4.25)",
}

# Stated layouts whose file cannot have the size of table 1.
UNMATCHED = {
    "klab_sr": "its 39 KB need the last convolution left out, which text and repository have",
    "just_a_try": "its 39 KB need 20 channels, and the report says 12",
}

_KILOBYTES = {row.model: row.kilobytes for row in MOBILE_AI_2022}
REPORT_SCALE = 3


def source_of(model: str, scale: int) -> Source:
    """What is printed of a network at an enlargement; empty where nothing is.

    Args:
        model: Option of ``conf/model``.
        scale: Enlargement.
    """
    return _SOURCES.get((model, scale), Source())


def kilobytes_of(model: str, scale: int) -> int | None:
    """Size of the INT8 file in table 1 of the Mobile AI 2022 report, in KiB."""
    return _KILOBYTES.get(model) if scale == REPORT_SCALE else None


def agrees(printed: str, count: int) -> bool:
    """Whether a count rounds to what is printed.

    Example:
        >>> agrees("42.5K", 42_539), agrees("22K", 20_891), agrees("37,199", 37_199)
        (True, False, True)
    """
    match = re.fullmatch(r"([\d,]+)(?:\.(\d+))?([KM]?)", printed)
    if match is None:
        raise ValueError(f"{printed!r} is no count")
    whole, decimals, unit = match[1].replace(",", ""), match[2] or "", match[3]
    step = _UNITS[unit] / 10 ** len(decimals)
    return bool(abs(count - int(whole + decimals) * step) <= step / 2)
