"""``table=swift_srgan_2``: PSNR and SSIM of ESRGAN, SRGAN and Swift-SRGAN, the paper's and ours.

Ours are read from the summaries of run folders; a run is a row, since the same generator is
trained with and without its discriminator. Half precision, which runs rarely score, is measured.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sr_experiments.reporting.papers import SWIFT_SRGAN_PAPER, SWIFT_SRGAN_TABLE_2
from sr_experiments.reporting.tables.half_precision import HalfScores, score_half
from sr_experiments.reporting.tables.table import Cell, Column, Row, Table
from sr_experiments.reporting.tables.trained import TrainedRun, notes_on

SCALE = 4
NETWORKS = {"ESRGAN": "rrdb", "SRGAN": "srresnet", "Swift-SRGAN": "swift_srgan"}

COLUMNS = (
    Column("set", "set"),
    Column("method", "method"),
    Column("whose", ""),
    Column("parameters", "parameters", ",d", "of the network that ships", room=120),
    Column("psnr", "PSNR", ".2f", "dB; ours of luma"),
    Column("ssim", "SSIM", ".4f"),
    Column("psnr_fp16", "FP16 PSNR", ".2f", "weights in half precision, LiteRT computes in FP32"),
    Column("ssim_fp16", "FP16 SSIM", ".4f", room=120),
    Column("psnr_int8", "INT8 PSNR", ".2f"),
    Column("ssim_int8", "INT8 SSIM", ".4f"),
    Column("drop", "drop", "+.3f", "PSNR of FP32 less that of INT8, dB"),
)

NOTES = (
    "Ours: luma with a border of 4 cut, mean over images. The paper states no protocol; its "
    "figures for SRGAN are those of SRGAN's own paper, and those for ESRGAN are of ESRGAN's "
    "PSNR-oriented network, trained without a discriminator.",
    "The paper's second row of ESRGAN says Set5; it is read as Set14.",
)


def score(
    runs: Sequence[TrainedRun],
    *,
    threads: int,
    data_dir: str | None,
    cache_dir: str | None,
    advance: Callable[[str], None] = lambda doing: None,
) -> HalfScores:
    """Half precision of the runs that have a row, as `score_half`."""
    places = {"data_dir": data_dir, "cache_dir": cache_dir}
    fitting = _fitting(runs)
    return score_half(
        fitting, list(SWIFT_SRGAN_TABLE_2), threads=threads, **places, advance=advance
    )


def _fitting(runs: Sequence[TrainedRun]) -> list[TrainedRun]:
    return [run for run in runs if run.scale == SCALE and run.model in NETWORKS.values()]


def table(runs: Sequence[TrainedRun], half: HalfScores, unfinished: Mapping[str, str]) -> Table:
    """PSNR and SSIM, as table II.

    Args:
        runs: Finished runs.
        half: Their scores in half precision.
        unfinished: Other folders, with the reason.
    """
    fitting = _fitting(runs)
    groups: list[list[Row]] = []
    for name, printed in SWIFT_SRGAN_TABLE_2.items():
        group: list[Row] = []
        bicubic = next((_scores(run, name, "bicubic") for run in fitting), None)
        if bicubic:
            group.append({"set": name, "method": "bicubic", "whose": "ours", **_cells(bicubic)})
        for method, (psnr, ssim) in printed.items():
            row: dict[str, Cell] = {"set": name, "method": method}
            group.append(row | {"whose": "paper", "psnr": psnr, "ssim": ssim})
            for run in fitting:
                fp32 = _scores(run, name, "fp32")
                if run.model != NETWORKS[method] or not fp32:
                    continue
                ours = row | {"whose": _training(run), **_cells(fp32)}
                ours["parameters"] = run.summary.get("params")
                fp16, int8 = half.of(run, name), _scores(run, name, "int8")
                if fp16:
                    ours |= {"psnr_fp16": fp16["psnr_y"], "ssim_fp16": fp16["ssim_y"]}
                if int8:
                    ours |= {
                        "psnr_int8": int8["psnr_y"],
                        "ssim_int8": int8["ssim_y"],
                        "drop": fp32["psnr_y"] - int8["psnr_y"],
                    }
                group.append(ours)
        groups.append(group)
    notes = [*NOTES, *half.missing, *notes_on(runs, fitting, unfinished)]
    trained = {run.model for run in fitting}
    missing = [f"{method} ({model})" for method, model in NETWORKS.items() if model not in trained]
    if missing:
        notes.append(f"No run at x4 was given of {', '.join(missing)}; name them with runs=.")
    return Table(
        "swift_srgan_2",
        f"{SWIFT_SRGAN_PAPER}, table II: PSNR and SSIM at x{SCALE}",
        "What the paper prints, and below it what the runs at hand reach.",
        COLUMNS,
        groups,
        notes,
        sortable=False,
    )


def _scores(run: TrainedRun, set_name: str, kind: str) -> Mapping[str, float]:
    found: Any = run.summary.get("test", {}).get(set_name, {}).get(kind)
    return found or {}


def _cells(scores: Mapping[str, float]) -> dict[str, Cell]:
    return {"psnr": scores["psnr_y"], "ssim": scores["ssim_y"]}


def _training(run: TrainedRun) -> str:
    """Stages of a run, or its task."""
    stages = run.summary.get("stages") or []
    names = [str(stage.get("task", stage["name"])) for stage in stages]
    if not names:
        target = str(run.config.get("task", {}).get("_target_", ""))
        names = ["gan" if target.endswith("GANTask") else "regression"]
    return f"ours: {', '.join(names)}"
