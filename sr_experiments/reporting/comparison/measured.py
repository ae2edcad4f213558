"""Runs on pictures that they were not tested on, or kept nothing of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from PIL.Image import Image

from sr_experiments.data import Pair
from sr_experiments.functional.resize import upscale
from sr_experiments.metrics import score_bicubic, score_image
from sr_experiments.reporting.comparison.members import Member
from sr_experiments.reporting.evaluation import BASELINE
from sr_experiments.reporting.panels import cut_panels
from sr_experiments.reporting.scores import Predictor, SetScore

Scores = dict[str, dict[str, dict[str, dict[str, float]]]]


def measure(
    member: Member,
    predictors: Mapping[str, Predictor],
    sets: Mapping[str, Sequence[Pair]],
    pictures: int,
    advance: Callable[[str], None] = lambda doing: None,
) -> Member:
    """The run with scores and panels of these sets in place of its own.

    Args:
        member: A finished run that enlarges.
        predictors: ``fp32``, ``int8``: (3, h, w) uint8 to (3, scale * h, scale * w) uint8.
        sets: Images by set, at the run's scale.
        pictures: Panels of each set.
        advance: Told what is done.
    """
    assert member.scale is not None
    scores: Scores = {}
    panels: dict[tuple[str, str], Sequence[Image]] = {}
    for set_name, pairs in sets.items():
        by_kind = scores.setdefault(set_name, {kind: {} for kind in (BASELINE, *predictors)})
        for index, (name, low_res, high_res) in enumerate(pairs):
            advance(f"{member.label}: {set_name} {name}")
            made = {kind: predict(low_res) for kind, predict in predictors.items()}
            by_kind[BASELINE][name] = score_bicubic(high_res, member.scale)
            for kind, picture in made.items():
                by_kind[kind][name] = score_image(picture, high_res, member.scale)
            if index < pictures:
                shown = {BASELINE: upscale(low_res, member.scale), **made}
                panels[set_name, name] = cut_panels(high_res, shown, member.scale)
    test = {
        set_name: {kind: SetScore(images).mean for kind, images in by_kind.items()}
        for set_name, by_kind in scores.items()
    }
    return replace(member, summary={**member.summary, "test": test}, scores=scores, fresh=panels)
