"""``table=xlsr_1``: the parameter counts of the XLSR paper with ours beside them."""

from collections.abc import Callable

from sr_experiments.models import collapse, count_parameters
from sr_experiments.reporting.papers import XLSR_PAPER, XLSR_TABLE_1
from sr_experiments.reporting.tables.measured import Entry
from sr_experiments.reporting.tables.sources import agrees
from sr_experiments.reporting.tables.table import BAD, GOOD, Cell, Column, Table

# What the networks of the paper are called in ``conf/model``.
NETWORKS = {
    "FSRCNN": "fsrcnn",
    "ESPCN": "espcn",
    "VDSR": "vdsr",
    "IMDN": "imdn",
    "EDSR": "edsr_large",
    "WDSR": "wdsr_large",
    "XLSR": "xlsr",
}

# Why a count of ours is not the paper's.
_REMARKS = {
    "EDSR": "the paper's is cut instead of rounded, or that of x4 (43,089,923)",
    "WDSR": "the paper names no layers; the nearest WDSR-A, cut instead of rounded",
    "IMDN": "its authors' code; 4 of its 6 blocks would have 486,827",
}

_TABLE_1 = (
    Column("method", "method"),
    Column("paper", "paper"),
    Column("ours", "ours", ",d", "RGB in, RGB out, x3, counted on the meta device"),
    Column(
        "agrees",
        "agrees",
        help="whether ours rounds to the paper's",
        judge=lambda cell: {"yes": GOOD, "no": BAD}.get(str(cell), ""),
    ),
    Column("model", "network"),
    Column("remark", "remark"),
)


def xlsr_1(entry_of: Callable[[str], Entry | None]) -> Table:
    """Parameters, as table 1.

    Args:
        entry_of: The network that an option of ``conf/model`` is; None where there is none.
    """
    rows = []
    for method, printed in XLSR_TABLE_1.items():
        row: dict[str, Cell] = {"method": method, "paper": printed, "model": NETWORKS[method]}
        entry = entry_of(NETWORKS[method])
        if entry is None:
            row["remark"] = "no such network here"
        else:
            ours = count_parameters(collapse(entry.build("meta")))
            same = agrees(printed, ours)
            row |= {"ours": ours, "agrees": "yes" if same else "no"}
            row["remark"] = None if same else _REMARKS.get(method)
        rows.append(row)
    return Table(
        "xlsr_1",
        f"{XLSR_PAPER}, table 1: parameters",
        "How many parameters the paper gives each network, and how many ours has.",
        _TABLE_1,
        [rows],
    )
