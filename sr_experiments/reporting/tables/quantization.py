"""``table=quantization``: what each mode of quantisation costs each network, over seeds."""

from collections.abc import Mapping, Sequence

from sr_experiments.errors import UserError
from sr_experiments.reporting.tables.seeds import MODES, Seeds, Spread, by_seed, cells
from sr_experiments.reporting.tables.table import BAD, GOOD, PAGE_ONLY, Cell, Column, Row, Table
from sr_experiments.reporting.tables.trained import TrainedRun, notes_on

METRIC = "psnr_y"
AIMS = {"ptq": 0.10, "qat": 0.03}  # dB, of networks that clip their output


def quantization_table(runs: Sequence[TrainedRun], unfinished: Mapping[str, str]) -> Table:
    """Drops on every test set, mean and deviation over seeds.

    Args:
        runs: Finished runs.
        unfinished: Other folders, with the reason.

    Raises:
        UserError: No run has an INT8 file.
    """
    groups, used = [], []
    for seeds in by_seed(runs):
        rows = [row for name in _sets(seeds) if (row := _row(seeds, name))]
        if rows:
            groups.append(rows)
            used += seeds.runs
    if not groups:
        raise UserError("runs=: none of them has an INT8 file; try runs=outputs/quantization")
    return Table(
        "quantization",
        "What INT8 costs, by mode",
        "PSNR of the FP32 network and, for each mode, how many dB its INT8 file loses on LiteRT's "
        "integer kernels.",
        _columns(),
        groups,
        [
            "Luma PSNR in dB, border of the scale cut, mean over the images of a set; ±: standard "
            "deviation over seeds.",
            "After training on the INT8 grid, the loss is counted from the FP32 network that it "
            "started from; below zero, the further training gained more than INT8 cost.",
            f"Aims, where the output is clipped: {_aims()}.",
            *notes_on(runs, used, unfinished),
        ],
        sortable=False,
    )


def _aims() -> str:
    return ", ".join(f"{mode} below {aim:.2f} dB" for mode, aim in AIMS.items())


def _sets(seeds: Seeds) -> list[str]:
    return list(dict.fromkeys(name for run in seeds.runs for name in run.summary.get("test", {})))


def _row(seeds: Seeds, set_name: str) -> Row:
    """A network on a set; empty where it has no INT8 file."""
    row: dict[str, Cell] = {
        "model": seeds.model,
        "set": set_name,
        "clipped": {True: "yes", False: "no", None: None}[seeds.clipped],
        "seeds": len(seeds.runs),
    }
    fp32: list[float] = []
    for mode in MODES:
        files = seeds.tested(mode, set_name, METRIC)
        if files:
            row |= cells(mode, Spread.of(file.drop for file in files))
            fp32 = fp32 or [file.fp32 for file in files]
            aim = AIMS.get(mode)
            if seeds.clipped and aim is not None:
                worst = max(file.drop for file in files)
                row[f"{mode}_aim"] = "reached" if worst < aim else "missed"
    return row | cells("fp32", Spread.of(fp32)) if fp32 else {}


def _columns() -> list[Column]:
    columns = [
        Column("model", "network"),
        Column("clipped", "clipped", help="whether the network clips its output to [0, 1]"),
        Column("set", "set"),
        Column("seeds", "seeds", "d"),
        Column("fp32", "FP32", ".2f"),
        Column("fp32_sd", "±", ".2f"),
    ]
    for mode in MODES:
        columns += [Column(mode, f"{mode}, dB", "+.3f"), Column(f"{mode}_sd", "±", ".3f")]
        if mode in AIMS:
            columns.append(
                Column(
                    f"{mode}_aim",
                    f"{mode} aim",
                    help=f"every seed below {AIMS[mode]:.2f} dB",
                    room=PAGE_ONLY,
                    judge=lambda cell: {"reached": GOOD, "missed": BAD}.get(str(cell), ""),
                )
            )
    return columns
