"""Networks on benchmark sets, beside bicubic and what papers print."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sr_experiments.data import SOURCES, Pair, SRData
from sr_experiments.errors import UserError
from sr_experiments.metrics import score_bicubic, score_image
from sr_experiments.reporting.published import BICUBIC, Figure, published
from sr_experiments.reporting.scores import METRICS, Predictor, SetScore

SCHEMA_VERSION = 1
BASELINE = "bicubic"
FEW_IMAGES = 20  # sets up to this size are shown image by image unless told otherwise
FORMATS = {"psnr_y": ".2f", "ssim_y": ".4f", "psnr_rgb": ".2f", "ssim_rgb": ".4f"}
DROP_FORMATS = {"psnr_y": ".3f", "ssim_y": ".4f", "psnr_rgb": ".3f", "ssim_rgb": ".4f"}
NOTE = (
    "psnr_y, ssim_y: BT.601 luma; psnr_rgb, ssim_rgb: RGB; 8-bit pictures, border of the scale "
    "cut. Luma of bicubic as the literature computes it, on luma shrunk and enlarged without "
    "rounding in between."
)


@dataclass(frozen=True)
class Evaluation:
    """Scores of one network, by set and by what ran it.

    Attributes:
        label: The network's name.
        network: Its class, for published figures; None when unknown.
        scale: Enlargement.
        sets: Set, then runtime (the first is bicubic), to scores.
        missing: Sets that are not at hand, with the reason.
    """

    label: str
    network: str | None
    scale: int
    sets: dict[str, dict[str, SetScore]] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)


def default_sets() -> list[str]:
    """Every benchmark set, and the test photo that is always at hand."""
    return [*(name for name, source in SOURCES.items() if "test" in source.splits), "photos:test"]


def load_sets(
    specs: Sequence[str],
    scale: int,
    *,
    optional: bool,
    data_dir: str | None,
    cache_dir: str | None,
    root: str | None,
) -> tuple[dict[str, Sequence[Pair]], dict[str, str]]:
    """Images by set, and the sets that are not here with the reason.

    Args:
        specs: See `find_images`.
        scale: Enlargement.
        optional: Leave out what is not here, instead of raising.
        data_dir: The user's data folder.
        cache_dir: Downloads and packed sets; None: the user's cache folder.
        root: The folder that the set ``folder`` means.

    Raises:
        UserError: A set is unknown, or not here.
    """
    found: dict[str, Sequence[Pair]] = {}
    missing: dict[str, str] = {}
    for spec in specs:
        places: dict[str, Any] = {"data_dir": data_dir, "cache_dir": cache_dir, "root": root}
        try:
            sets = SRData([], [], [spec], scale, **places).test_sets()
        except UserError as error:
            if not optional:
                raise
            missing[spec] = str(error)
        else:
            found[spec] = next(iter(sets.values()))
    return found, missing


def score_networks(
    pairs: Sequence[Pair],
    predictors: Mapping[str, Predictor],
    scale: int,
    advance: Callable[[], None] = lambda: None,
) -> dict[str, SetScore]:
    """Scores of bicubic and of each predictor on one set.

    Args:
        pairs: Name, low-res and high-res image, (3, H, W) uint8.
        predictors: Name to (3, h, w) uint8 -> (3, scale * h, scale * w) uint8.
        scale: Also the border that is cut.
        advance: Called after every image.
    """
    images: dict[str, dict[str, dict[str, float]]] = {name: {} for name in (BASELINE, *predictors)}
    for name, low_res, high_res in pairs:
        images[BASELINE][name] = score_bicubic(high_res, scale)
        for key, predict in predictors.items():
            images[key][name] = score_image(predict(low_res), high_res, scale)
        advance()
    return {key: SetScore(scores) for key, scores in images.items()}


def print_evaluation(evaluation: Evaluation, per_image: bool | None, console: Console) -> None:
    """Print a table per set, with published rows below our own.

    Args:
        evaluation: What to print.
        per_image: A row per image too; None: where a set has few.
        console: Where to.
    """
    for name, rows in evaluation.sets.items():
        images = list(next(iter(rows.values())).images)
        title = f"{evaluation.label} on {name}, x{evaluation.scale}, {len(images)} images"
        table = Table(title=escape(title if len(images) != 1 else title[:-1]))
        table.add_column("")
        for metric in METRICS:
            table.add_column(metric, justify="right")
        if len(images) > 1 and (per_image or (per_image is None and len(images) <= FEW_IMAGES)):
            for image in images:
                for key, score in rows.items():
                    table.add_row(escape(f"{image}  {key}"), *_cells(score.images[image]))
                table.add_section()
        for key, score in rows.items():
            table.add_row(f"mean  {key}" if len(images) > 1 else key, *_cells(score.mean))
        if {"fp32", "int8"} <= rows.keys():
            fp32, int8 = rows["fp32"].mean, rows["int8"].mean
            drops = {metric: fp32[metric] - int8[metric] for metric in METRICS}
            table.add_row("drop", *(f"{drops[name]:+{DROP_FORMATS[name]}}" for name in METRICS))
        table.add_section()
        figures = list(_figures(evaluation, name))
        for index, figure in enumerate(figures, start=1):
            label = f"{figure.network}{' INT8' if figure.int8 else ''} [{index}]"
            table.add_row(_plain(label), *_figure_cells(figure))
        console.print(table)
        for index, figure in enumerate(figures, start=1):
            console.print(f"[{index}] {figure.source}", markup=False, highlight=False)
    console.print(NOTE, highlight=False)
    for name, reason in evaluation.missing.items():
        console.print(f"{name}: left out, {reason.splitlines()[0]}", markup=False, highlight=False)


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


def _cells(scores: Mapping[str, float]) -> list[str]:
    return [format(scores[metric], FORMATS[metric]) for metric in METRICS]


def _figures(evaluation: Evaluation, set_name: str) -> Iterator[Figure]:
    set_name = set_name.removesuffix(":test")
    yield from published(BICUBIC, set_name, evaluation.scale)
    if evaluation.network not in (None, BICUBIC):
        yield from published(str(evaluation.network), set_name, evaluation.scale)


def _figure_cells(figure: Figure) -> list[str]:
    psnr = format(figure.psnr, ".2f")
    ssim = "" if figure.ssim is None else format(figure.ssim, ".4f")
    return ["", "", psnr, ssim] if figure.rgb else [psnr, ssim, "", ""]


def as_json(evaluation: Evaluation, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Everything, for a ``.json`` file.

    Args:
        evaluation: What was measured.
        facts: Further values, such as the command's options.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "network": evaluation.label,
        "scale": evaluation.scale,
        **facts,
        "protocol": NOTE,
        "sets": {
            name: {
                key: {"mean": score.mean, "images": dict(score.images)}
                for key, score in rows.items()
            }
            for name, rows in evaluation.sets.items()
        },
        "missing": dict(evaluation.missing),
    }
