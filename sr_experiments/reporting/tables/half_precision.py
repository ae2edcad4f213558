"""Scores of a run's network as LiteRT's file of FP16 weights.

Those of a run with ``quantization=fp16`` are in its summary. Another's are measured now, from its
weights in floating point (of a run that went on to the INT8 grid, those of the stage before) and in
memory, so its folder stays as it is.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sr_experiments.data import Pair
from sr_experiments.deploy.runtimes import LiteRTRuntime
from sr_experiments.deploy.scoring import predict_image
from sr_experiments.deploy.tflite import half_model
from sr_experiments.errors import UserError
from sr_experiments.metrics import score_image
from sr_experiments.models import collapse
from sr_experiments.quantization.trace import trace
from sr_experiments.reporting.cards import fp32_network
from sr_experiments.reporting.evaluation import load_sets
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.reporting.scores import SetScore
from sr_experiments.reporting.tables.trained import TrainedRun

KIND = "fp16"


@dataclass
class HalfScores:
    """What is known of FP16.

    Attributes:
        scores: Metrics by run folder and set.
        missing: What was not measured, as sentences.
    """

    scores: dict[tuple[Path, str], Mapping[str, float]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def of(self, run: TrainedRun, set_name: str) -> Mapping[str, float]:
        """Metrics; empty where nothing is known."""
        return self.scores.get((run.path, set_name), {})


def score_half(
    runs: Sequence[TrainedRun],
    set_names: Sequence[str],
    *,
    threads: int,
    data_dir: str | None,
    cache_dir: str | None,
    advance: Callable[[str], None] = lambda doing: None,
) -> HalfScores:
    """Read the scores of FP16, or measure them where weights and pictures are at hand.

    Args:
        runs: Finished runs.
        set_names: Test sets.
        threads: CPU threads of LiteRT.
        data_dir: The user's data folder.
        cache_dir: Downloads and packed sets; None: the user's cache folder.
        advance: Told what is next.
    """
    half = HalfScores()
    wanted: dict[int, dict[str, list[TrainedRun]]] = {}
    for run in runs:
        for name in set_names:
            tested: Mapping[str, Any] = run.summary.get("test", {}).get(name, {})
            if KIND in tested:
                half.scores[run.path, name] = tested[KIND]
            elif "fp32" in tested:
                wanted.setdefault(run.scale, {}).setdefault(name, []).append(run)
    places = {"data_dir": data_dir, "cache_dir": cache_dir, "root": None}
    try:
        for scale, by_set in wanted.items():
            sets, missing = load_sets(list(by_set), scale, optional=True, **places)
            half.missing += [f"FP16 was not measured: {name} is not at hand." for name in missing]
            for name, pairs in sets.items():
                for run in by_set[name]:
                    _measure(run, name, pairs, threads, half, advance)
    except KeyboardInterrupt:
        half.missing.append("FP16 was interrupted: what is missing was not measured.")
    half.missing = list(dict.fromkeys(half.missing))
    return half


def _measure(
    run: TrainedRun,
    set_name: str,
    pairs: Sequence[Pair],
    threads: int,
    half: HalfScores,
    advance: Callable[[str], None],
) -> None:
    try:
        runtime = _open(run, threads)
    except UserError as error:
        half.missing.append(f"FP16 was not measured: {error}")
        return
    images = {}
    for name, low_res, high_res in pairs:
        advance(f"FP16 of {run.path.name}: {set_name} {name}")
        images[name] = score_image(predict_image(runtime, low_res), high_res, run.scale)
    half.scores[run.path, set_name] = SetScore(images).mean


def _open(run: TrainedRun, threads: int) -> LiteRTRuntime:
    network = fp32_network(RunFolder(run.path), run.config)[0].build()
    if network.scale != run.scale:
        raise UserError(f"{run.path} enlarges x{network.scale}, its summary says x{run.scale}.")
    return LiteRTRuntime(half_model(trace(collapse(network))), threads)
