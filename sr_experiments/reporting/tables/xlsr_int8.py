"""``table=xlsr_2``, ``xlsr_3`` and ``xlsr_5``: the XLSR paper on INT8, with ours beside it.

The paper quantised after training with TensorFlow's converter of 2021 and says no more of how, so
ours are shown in each mode that the runs were tested in.
"""

from collections.abc import Callable, Mapping, Sequence

from sr_experiments.deploy.challenge import challenge_score
from sr_experiments.errors import UserError
from sr_experiments.reporting.papers import (
    XLSR_PAPER,
    XLSR_TABLE_2,
    XLSR_TABLE_3,
    XLSR_TABLE_5,
)
from sr_experiments.reporting.tables.seeds import MODES, Seeds, Spread, by_seed, cells
from sr_experiments.reporting.tables.table import Cell, Column, Row, Table
from sr_experiments.reporting.tables.trained import TrainedRun, notes_on
from sr_experiments.reporting.tables.xlsr_1 import NETWORKS

METRIC = "psnr_rgb"  # as the paper's, on DIV2K
YEAR = 2021
PAPER, OURS = "paper", "ours"
_DROPS = (
    Column("whose", ""),
    Column("name", "network"),
    Column("set", "set"),
    Column("mode", "mode"),
    Column("fp32", "FP32", ".2f"),
    Column("fp32_sd", "±", ".2f"),
    Column("int8", "INT8", ".2f"),
    Column("int8_sd", "±", ".2f"),
    Column("drop", "drop, dB", "+.3f"),
    Column("drop_sd", "±", ".3f"),
    Column("seeds", "seeds", "d"),
)
_SCORES = (
    Column("whose", ""),
    Column("name", "network"),
    Column("psnr", "PSNR", ".2f"),
    Column("ssim", "SSIM", ".4f"),
    Column("ms", "ms", ".2f"),
    Column("score", "score", ".2f", f"2^(2 PSNR) / (2^48 ms), that of {YEAR}"),
    Column("seeds", "seeds", "d"),
)
_DIFFERS = (
    "PSNR in dB over RGB, border of the scale cut; ±: standard deviation over seeds.",
    "Theirs: trained on 792 photos of DIV2K for 500,000 steps, on DIV2K's validation part; uint8 "
    "by TensorFlow's converter of 2021. Ours: as said below, the INT8 file on LiteRT's kernels.",
)


def xlsr_2(runs: Sequence[TrainedRun], unfinished: Mapping[str, str]) -> Table:
    """XLSR with a linear and with a clipped output.

    Args:
        runs: Finished runs; of others than XLSR nothing is shown.
        unfinished: Other folders, with the reason.

    Raises:
        UserError: No run of XLSR has an INT8 file.
    """

    def name(seeds: Seeds) -> str | None:
        if seeds.model != NETWORKS["XLSR"]:
            return None
        return {True: "Clipped ReLU", False: "Linear"}.get(seeds.clipped or False)

    about = "What a clipped output saves XLSR from."
    return _drops("xlsr_2", f"table 2: {about}", XLSR_TABLE_2, name, runs, unfinished)


def xlsr_5(runs: Sequence[TrainedRun], unfinished: Mapping[str, str]) -> Table:
    """FSRCNN, ESPCN and XLSR before and after quantisation.

    Args:
        runs: Finished runs; of other networks nothing is shown.
        unfinished: Other folders, with the reason.

    Raises:
        UserError: None of them has an INT8 file.
    """
    names = {NETWORKS[method]: method for method in XLSR_TABLE_5}

    def name(seeds: Seeds) -> str | None:
        if seeds.model == NETWORKS["XLSR"] and not seeds.clipped:
            return None
        return names.get(seeds.model)

    about = "What INT8 costs three networks."
    return _drops("xlsr_5", f"table 5: {about}", XLSR_TABLE_5, name, runs, unfinished)


def _drops(
    table: str,
    title: str,
    printed: Mapping[str, tuple[float, float, float]],
    name_of: Callable[[Seeds], str | None],
    runs: Sequence[TrainedRun],
    unfinished: Mapping[str, str],
) -> Table:
    ours: dict[str, list[Row]] = {name: [] for name in printed}
    used: list[TrainedRun] = []
    for seeds in by_seed(runs):
        name = name_of(seeds)
        if name is None:
            continue
        rows: list[Row] = [{**row, "name": name} for row in _measured(seeds)]
        ours[name] += rows
        used += seeds.runs if rows else []
    if not used:
        raise UserError(f"table={table}: no run of {', '.join(printed)} with an INT8 file")
    groups = []
    for name, (fp32, int8, drop) in printed.items():
        theirs: Row = {
            "whose": PAPER,
            "name": name,
            "set": "div2k",
            "fp32": fp32,
            "int8": int8,
            "drop": drop,
        }
        groups.append([theirs, *ours[name]])
    return Table(
        table,
        f"{XLSR_PAPER}, {title}",
        "The paper's figures, and below each what our runs lose.",
        _DROPS,
        groups,
        [*_DIFFERS, *notes_on(runs, used, unfinished)],
        sortable=False,
    )


def _measured(seeds: Seeds) -> list[Row]:
    """A row for each test set and mode."""
    rows: list[Row] = []
    for set_name in dict.fromkeys(name for run in seeds.runs for name in run.summary["test"]):
        for mode in MODES:
            files = seeds.tested(mode, set_name, METRIC)
            if files:
                row: dict[str, Cell] = {"whose": OURS, "set": set_name, "mode": mode}
                row |= cells("fp32", Spread.of(file.fp32 for file in files))
                row |= cells("int8", Spread.of(file.int8 for file in files))
                row |= cells("drop", Spread.of(file.drop for file in files))
                rows.append(row | {"seeds": len(files)})
    return rows


def xlsr_3(runs: Sequence[TrainedRun], unfinished: Mapping[str, str], set_name: str) -> Table:
    """The score of the challenge of 2021.

    Args:
        runs: Finished runs, of any network that enlarges by three.
        unfinished: Other folders, with the reason.
        set_name: Test set of ours.

    Raises:
        UserError: No run was tested on the set in INT8.
    """
    theirs: list[Row] = [
        {"whose": PAPER, "name": name, "psnr": psnr, "ssim": ssim, "ms": ms, "score": score}
        for name, psnr, ssim, ms, score in XLSR_TABLE_3
    ]
    ours, used = [], []
    for seeds in by_seed([run for run in runs if run.scale == 3]):
        timed = [run for run in seeds.runs if run.summary.get("latency_ms")]
        timed = [run for run in timed if "int8" in run.summary["test"].get(set_name, {})]
        if timed:
            ours.append(_scored(seeds.model, timed, set_name))
            used += timed
    if not ours:
        raise UserError(f"table=xlsr_3: no run at x3 was tested in INT8 on {set_name}: add data=")
    ours.sort(key=lambda row: -float(row["score"] or 0))
    machines = dict.fromkeys(run.processor or "unknown" for run in used)
    threads = dict.fromkeys(str(run.summary["latency_ms"]["threads"]) for run in used)
    return Table(
        "xlsr_3",
        f"{XLSR_PAPER}, table 3: the challenge of 2021",
        "The first five of the challenge, and what our runs would score on this CPU.",
        _SCORES,
        [theirs, ours],
        [
            f"Theirs: DIV2K's test part, which is not public, and an NPU. Ours: {set_name}, and "
            f"the CPU of the run ({', '.join(machines)}; threads: {', '.join(threads)}), so ours "
            "are to be compared with each other only.",
            "Mean over seeds; PSNR in dB over RGB.",
            *notes_on(runs, used, unfinished),
        ],
        sortable=False,
    )


def _scored(model: str, runs: Sequence[TrainedRun], set_name: str) -> Row:
    scores = [run.summary["test"][set_name]["int8"] for run in runs]
    psnr = Spread.of(score[METRIC] for score in scores).mean
    ms = Spread.of(run.summary["latency_ms"]["median"] for run in runs).mean
    return {
        "whose": OURS,
        "name": model,
        "psnr": psnr,
        "ssim": Spread.of(score["ssim_rgb"] for score in scores).mean,
        "ms": ms,
        "score": challenge_score(psnr, ms, YEAR),
        "seeds": len(runs),
    }
