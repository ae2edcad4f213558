"""``table=xlsr_4``: PSNR at x3 of floating-point networks, the XLSR paper's and ours.

Bicubic and the runs at hand are scored now, on the sets at hand, by what ``evaluate`` scores with.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sr_experiments.deploy.runtimes import TorchRuntime
from sr_experiments.deploy.scoring import predict_image
from sr_experiments.models import load_model
from sr_experiments.reporting.evaluation import BASELINE, load_sets, score_networks
from sr_experiments.reporting.papers import XLSR_PAPER, XLSR_TABLE_4, XLSR_TABLE_4_METHODS
from sr_experiments.reporting.published import DIV2K
from sr_experiments.reporting.scores import Predictor
from sr_experiments.reporting.tables.measured import Entry
from sr_experiments.reporting.tables.table import Cell, Column, Row, Table
from sr_experiments.reporting.tables.trained import TrainedRun, notes_on, pick
from sr_experiments.reporting.tables.xlsr_1 import NETWORKS

SCALE = 3
BICUBIC = "Bicubic"
NO_NUMBER = "-"
WEIGHTS = "model.safetensors"


@dataclass
class Scored:
    """What was measured for table 4.

    Attributes:
        psnr: dB by set and method, of the metric that the paper has for the set.
        runs: Run by method.
        changed: Options of its network that are not the YAML's, by method.
    """

    psnr: dict[str, dict[str, float]] = field(default_factory=dict)
    runs: dict[str, TrainedRun] = field(default_factory=dict)
    changed: dict[str, list[str]] = field(default_factory=dict)


def score(
    runs: Sequence[TrainedRun],
    entry_of: Callable[[str], Entry | None],
    *,
    data_dir: str | None,
    cache_dir: str | None,
    advance: Callable[[str], None] = lambda doing: None,
) -> Scored:
    """Score bicubic and runs on the sets of the table that are at hand.

    Args:
        runs: Finished runs.
        entry_of: The network that an option of ``conf/model`` is; None where there is none.
        data_dir: The user's data folder.
        cache_dir: Downloads and packed sets; None: the user's cache folder.
        advance: Told which set is next.
    """
    scored = Scored()
    for method in XLSR_TABLE_4_METHODS[1:]:
        entry = entry_of(NETWORKS[method])
        run = None if entry is None else pick(runs, entry, SCALE)
        if entry is not None and run is not None:
            scored.runs[method] = run
            scored.changed[method] = run.changed(entry)
    sets, _ = load_sets(
        list(XLSR_TABLE_4),
        SCALE,
        optional=True,
        data_dir=data_dir,
        cache_dir=cache_dir,
        root=None,
    )
    predictors = {method: _predictor(run) for method, run in scored.runs.items()}
    for name, pairs in sets.items():
        advance(name)
        rows = score_networks(pairs, predictors, SCALE)
        metric = "psnr_rgb" if name == DIV2K else "psnr_y"
        psnr = {method: row.mean[metric] for method, row in rows.items()}
        scored.psnr[name] = {BICUBIC: psnr.pop(BASELINE), **psnr}
    return scored


def _predictor(run: TrainedRun) -> Predictor:
    runtime = TorchRuntime(load_model(run.path / WEIGHTS))
    return lambda low_res: predict_image(runtime, low_res)


def table(scored: Scored, given: Sequence[TrainedRun], unfinished: Mapping[str, str]) -> Table:
    """PSNR, as table 4.

    Args:
        scored: What was measured.
        given: All finished runs.
        unfinished: Other folders, with the reason.
    """
    columns = [
        Column("set", "set"),
        Column("whose", ""),
        *(Column(method.lower(), method, ".2f") for method in XLSR_TABLE_4_METHODS),
    ]
    groups = []
    for name, printed in XLSR_TABLE_4.items():
        shown = name + (" (RGB)" if name == DIV2K else "")
        paper: dict[str, Cell] = {"set": shown, "whose": "paper"}
        for method, psnr in zip(XLSR_TABLE_4_METHODS, printed, strict=True):
            paper[method.lower()] = NO_NUMBER if psnr is None else psnr
        groups.append([paper, _ours(shown, name, scored)])
    return Table(
        "xlsr_4",
        f"{XLSR_PAPER}, table 4: PSNR in dB at x{SCALE}, FP32",
        "What the paper prints, and below it what the networks at hand reach on the sets at hand.",
        columns,
        groups,
        [*_notes(scored), *notes_on(given, list(scored.runs.values()), unfinished)],
        sortable=False,
    )


def _ours(shown: str, name: str, scored: Scored) -> Row:
    row: dict[str, Cell] = {"set": shown, "whose": "ours"}
    if name not in scored.psnr:
        row["whose"] = f"not at hand: {name.partition(':')[0]}"
        return row
    for method in XLSR_TABLE_4_METHODS:
        row[method.lower()] = scored.psnr[name].get(method, NO_NUMBER)
    return row


def _notes(scored: Scored) -> list[str]:
    notes = [
        "Luma with a border of the scale cut, mean over images; DIV2K over RGB. Bicubic's luma is "
        "computed as the literature does (see evaluate).",
        "The paper took the figures of the others from the literature, where FSRCNN, ESPCN and "
        "VDSR work on luma alone; ours take and make RGB. EDSR's authors, whose figures for "
        f"bicubic, VDSR and EDSR on DIV2K it has, cut {SCALE + 2} pixels there.",
    ]
    untrained = [name for name in XLSR_TABLE_4_METHODS[1:] if name not in scored.runs]
    if untrained:
        notes.append(f"Not trained here: {', '.join(untrained)}. Name their runs with runs=.")
    for method, run in scored.runs.items():
        words = " ".join(scored.changed[method])
        notes.append(f"{method}: {run.path}" + (f" with {words}" if words else ""))
    return notes
