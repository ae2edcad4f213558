"""``table=mobile_ai_2022``: table 1 of the challenge's report with our runs beside its teams.

Ours are read from the summaries of run folders. The report measured on DIV2K's test part, which
was never published, and timed an NPU, so the two halves of a row are not of the same kind; the
notes below the table say what each is of.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sr_experiments.data import SOURCES
from sr_experiments.deploy.challenge import challenge_score
from sr_experiments.deploy.latency import compare_latency
from sr_experiments.deploy.runtimes import LiteRTRuntime, Runtime
from sr_experiments.errors import UserError
from sr_experiments.reporting import environment
from sr_experiments.reporting.evaluation import BASELINE, load_sets, score_networks
from sr_experiments.reporting.papers import MOBILE_AI_2022, MOBILE_AI_2022_REPORT, Entry2022
from sr_experiments.reporting.published import DIV2K
from sr_experiments.reporting.shipping import HEIGHT, WIDTH
from sr_experiments.reporting.tables.byte_model import KIB
from sr_experiments.reporting.tables.measured import Entry
from sr_experiments.reporting.tables.table import PAGE_ONLY, Cell, Column, Row, Table
from sr_experiments.reporting.tables.trained import TrainedRun, notes_on, pick

SCALE = 3
INT8, FP32 = "model_int8.tflite", "model_fp32.tflite"  # of a run folder
WARMUP = 2
PATIENCE = 10.0  # seconds for one network
YEAR = 2022
NOT_TRAINED, NOT_PRINTED = "not trained here", "n.a."
BICUBIC = "bicubic"
PHOTO = "photos:test"

COLUMNS = (
    Column("team", "team"),
    Column("model", "network", room=120),
    Column("report_kib", "KB", "d", "of the INT8 file, in KiB"),
    Column("kib", "our KB", ".1f"),
    Column(
        "report_psnr", "PSNR", ".2f", "dB over RGB of the INT8 network; A+ and bicubic as they are"
    ),
    Column("psnr", "our PSNR", ".2f"),
    Column("report_ssim", "SSIM", ".4f", room=PAGE_ONLY),
    Column("ssim", "our SSIM", ".4f", room=PAGE_ONLY),
    Column(
        "report_drop",
        "drop",
        ".2f",
        "dB from FP32 to INT8; ours on the validation images",
        room=120,
    ),
    Column("drop", "our drop", ".2f", room=120),
    Column(
        "report_cpu_ms",
        "CPU ms",
        "d",
        "of the INT8 file on the CPU of the Synaptics VS680; ours on the CPU that the notes name",
        room=120,
    ),
    Column("ms", "our ms", ".1f"),
    Column("report_npu_ms", "NPU ms", ".1f", room=PAGE_ONLY),
    Column("report_speed_up", "speed-up", ".1f", "CPU ms by NPU ms; ours FP32 ms by INT8 ms", 120),
    Column("speed_up", "our speed-up", ".1f"),
    Column(
        "report_score",
        "score",
        ".2f",
        "2^(2 PSNR) / (10 2^48 ms), of the NPU's ms; ours of the CPU's",
    ),
    Column("score", "our score", ".2f"),
    Column("remark", "remark"),
)


@dataclass(frozen=True)
class Times:
    """Milliseconds of a run's two files, taken in turn.

    Attributes:
        int8: Of the INT8 file.
        fp32: Of the FP32 file.
    """

    int8: float
    fp32: float


@dataclass(frozen=True)
class Chosen:
    """The run that stands for a row.

    Attributes:
        run: The run; None where there is none.
        changed: Options of its network that are not the YAML's.
        known: Whether the row's network is one of ours.
    """

    run: TrainedRun | None = None
    changed: Sequence[str] = ()
    known: bool = True


def choose_runs(
    runs: Sequence[TrainedRun], entry_of: Callable[[str], Entry | None]
) -> dict[str, Chosen]:
    """Runs by the option of ``conf/model`` that the rows name.

    Args:
        runs: Finished runs.
        entry_of: The network that an option is; None where there is none.
    """
    chosen: dict[str, Chosen] = {}
    for printed in MOBILE_AI_2022:
        entry = entry_of(printed.model)
        if entry is None:
            chosen[printed.model] = Chosen(known=False)
            continue
        run = pick(runs, entry, SCALE)
        chosen[printed.model] = Chosen(run, [] if run is None else run.changed(entry))
    return chosen


def time_files(
    chosen: Mapping[str, Chosen], threads: int, repeats: int, advance: Callable[[str], None]
) -> dict[str, Times]:
    """Time the INT8 and the FP32 file of each run in turn, where it has both.

    Args:
        chosen: Of `choose_runs`.
        threads: Of the CPU.
        repeats: Runs that count; 0 times nothing.
        advance: Told which network is timed.
    """
    found = {}
    for model, item in chosen.items():
        files = [] if item.run is None else [item.run.path / name for name in (INT8, FP32)]
        if not repeats or not files or not all(path.is_file() for path in files):
            continue
        advance(f"timing {model}")
        runtimes: list[Runtime] = [LiteRTRuntime(path, threads) for path in files]
        rows = compare_latency(runtimes, HEIGHT, WIDTH, repeats, WARMUP, PATIENCE)
        found[model] = Times(*(row.median for row in rows))
    return found


def common_set(runs: Sequence[TrainedRun]) -> str:
    """The first test set that all runs share, DIV2K if they do; without runs, the test photo.

    Raises:
        UserError: They share none.
    """
    tested = [list(run.summary.get("test", {})) for run in runs]
    if not tested:
        return PHOTO
    shared = [name for name in tested[0] if all(name in names for names in tested)]
    if not shared:
        raise UserError("the runs were not tested on one set in common: name one with data=")
    name = "div2k" if "div2k" in shared else shared[0]
    return {"div2k": DIV2K, "photos": PHOTO}.get(name, name)


def bicubic_on(
    spec: str, *, data_dir: str | None, cache_dir: str | None, root: str | None
) -> tuple[float, float] | str:
    """PSNR and SSIM of bicubic over RGB on a set, or that it is not at hand.

    Raises:
        UserError: There is no such set.
    """
    if spec.partition(":")[0] not in SOURCES:
        raise UserError(f"data={spec}: there is no such set\n  known: {', '.join(SOURCES)}")
    places = {"data_dir": data_dir, "cache_dir": cache_dir, "root": root}
    sets, _ = load_sets([spec], SCALE, optional=True, **places)
    if spec not in sets:
        return f"not at hand: {spec.partition(':')[0]}"
    mean = score_networks(sets[spec], {}, SCALE)[BASELINE].mean
    return mean["psnr_rgb"], mean["ssim_rgb"]


def table(
    chosen: Mapping[str, Chosen],
    spec: str,
    bicubic: tuple[float, float] | str,
    runs: Sequence[TrainedRun],
    unfinished: Mapping[str, str],
    times: Mapping[str, Times],
    threads: int,
) -> Table:
    """Set runs beside the report.

    Args:
        chosen: Of `choose_runs`.
        spec: The test set of ours.
        bicubic: Of `bicubic_on`.
        runs: All finished runs.
        unfinished: Other folders, with the reason.
        times: Of `time_files`; what a run itself measured stands in for what is absent.
        threads: That they were taken with.
    """
    set_name = spec.partition(":")[0]
    rows = []
    for printed in MOBILE_AI_2022:
        row, item = _printed(printed), chosen[printed.model]
        if printed.model == BICUBIC:
            row |= _bicubic(bicubic)
        elif item.run is not None:
            row |= _ours(item.run, item.changed, set_name, times.get(printed.model))
        else:
            row["remark"] = NOT_TRAINED if item.known else "no such network here"
        rows.append(row)
    used = [item.run for item in chosen.values() if item.run is not None]
    return Table(
        "mobile_ai_2022",
        f"{MOBILE_AI_2022_REPORT}, table 1, and ours",
        "What the challenge's teams reached, and what our networks of the same layout reach; our "
        "own figures are in the columns called so.",
        COLUMNS,
        [rows],
        [*_notes(used, set_name, len(times), threads), *notes_on(runs, used, unfinished)],
    )


def _printed(entry: Entry2022) -> dict[str, Cell]:
    row: dict[str, Cell] = {
        "team": entry.team,
        "model": entry.model,
        "report_kib": entry.kilobytes,
        "report_psnr": entry.psnr,
        "report_ssim": entry.ssim,
        "report_cpu_ms": entry.cpu_ms,
        "report_npu_ms": entry.npu_ms,
        "report_speed_up": entry.speed_up,
        "report_score": entry.score,
    }
    row["report_drop"] = NOT_PRINTED if entry.drop is None and entry.score else entry.drop
    return row


def _bicubic(measured: tuple[float, float] | str) -> Row:
    if isinstance(measured, str):
        return {"remark": measured}
    return {"psnr": measured[0], "ssim": measured[1], "remark": "scored now"}


def _ours(run: TrainedRun, changed: Sequence[str], set_name: str, times: Times | None) -> Row:
    psnr, int8 = run.score(set_name, "psnr_rgb")
    ssim, _ = run.score(set_name, "ssim_rgb")
    remarks = list(changed)
    if psnr is None:
        remarks.append(f"not tested on {set_name}")
    elif not int8:
        remarks.append("FP32, it has no INT8 file")
    size, latency = run.summary.get("tflite_bytes"), run.summary.get("latency_ms")
    row: dict[str, Cell] = {
        "psnr": psnr,
        "ssim": ssim,
        "drop": run.summary.get("int8_drop"),
        "kib": None if size is None else size / KIB,
        "remark": "; ".join(remarks) or None,
    }
    milliseconds, comparable = None, True
    if times is not None:
        milliseconds, row["speed_up"] = times.int8, times.fp32 / times.int8
    elif latency is not None:
        milliseconds, comparable = latency["median"], latency["size"] == f"{WIDTH}x{HEIGHT}"
    row["ms"] = milliseconds
    if milliseconds is not None and psnr is not None and comparable:
        row["score"] = challenge_score(psnr, milliseconds, YEAR)
    return row


def _notes(used: Sequence[TrainedRun], set_name: str, timed: int, threads_now: int) -> list[str]:
    notes = [
        "Theirs: 800 photos of DIV2K to train on, PSNR on DIV2K's test part, which is not public, "
        "times of a Synaptics VS680.",
        f"Ours: PSNR and SSIM on {set_name}, so they are not to be compared with theirs digit by "
        "digit: rows with each other, and with bicubic on the same set.",
    ]
    if timed:
        plural = "s" if timed > 1 else ""
        notes.append(
            f"Our times of {timed} network{plural}, and so scores and speed-ups, were taken now: "
            f"FP32 and INT8 file in turn on {environment.cpu()['model']} (threads: {threads_now})."
        )
    if timed == len(used):
        return notes
    threads = sorted(
        {run.summary["latency_ms"]["threads"] for run in used if run.summary.get("latency_ms")}
    )
    if threads:
        notes.append(
            f"{'The other' if timed else 'Our'} times and scores are of the CPU that each run was "
            f"trained on "
            f"({', '.join(_processors(used)) or 'unknown'}; threads: "
            f"{', '.join(map(str, threads))})."
        )
    return notes


def _processors(used: Sequence[TrainedRun]) -> list[str]:
    return list(dict.fromkeys(model for run in used if (model := run.processor)))
