"""Options of the verbs that quantise a trained network: how, and on which images."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from sr_experiments.configuration.options import DataOptions
from sr_experiments.configuration.trained import Trained
from sr_experiments.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from sr_experiments.models import SRModel
    from sr_experiments.quantization import PostTraining

FALLBACK = ["photos:train"]
MEASURING = (
    "activations", "per_channel", "observer", "symmetric", "fixed_output", "equalize",
    "adaptive_rounding", "bias_correction", "calibration_images", "calibration_size",
)  # fmt: skip
ACTIVATIONS = ("int8", "int16")

Read = TypeVar("Read")


@dataclass
class MeasuringOptions(DataOptions):
    """How a trained network is quantised; see `PostTraining`.

    Attributes:
        trained_ranges: Keep the ranges of quantisation-aware training.
        activations: ``int8`` or ``int16``.
    """

    trained_ranges: bool = True
    activations: str = "int8"
    per_channel: bool = True
    observer: str = "minmax"
    symmetric: bool = False
    fixed_output: bool = False
    equalize: bool = False
    adaptive_rounding: int = 0
    bias_correction: bool = True
    calibration_images: int = 16
    calibration_size: int = 64


def mode_of(options: MeasuringOptions, **ends: Any) -> "PostTraining":
    """The mode that the options stand for.

    Args:
        options: As given.
        ends: ``input_type`` and ``output_type`` of the file.

    Raises:
        UserError: A value is wrong.
    """
    from sr_experiments.quantization import Int16Activations, PostTraining

    if options.activations not in ACTIVATIONS:
        raise UserError(f"activations={options.activations}: use {' or '.join(ACTIVATIONS)}")
    shared: dict[str, Any] = {
        key: getattr(options, key) for key in MEASURING if key not in ("activations", "symmetric")
    }
    if options.activations == "int16":
        return Int16Activations(**shared, **ends)
    return PostTraining(**shared, symmetric=options.symmetric, **ends)


def refuse_measuring(options: MeasuringOptions, *more: str) -> None:
    """Options of a measurement have no use beside trained ranges.

    Raises:
        UserError: One of them was given.
    """
    for key in (*MEASURING, *more):
        if getattr(options, key) != getattr(type(options), key):
            raise UserError(
                f"{key}={getattr(options, key)}: this network keeps the ranges that it was trained "
                "with; add trained_ranges=false to measure new ones"
            )


def keeps_ranges(options: MeasuringOptions, network: "SRModel") -> bool:
    """Whether the ranges are those of the training."""
    return network.ranges is not None and options.trained_ranges


def calibration(
    options: MeasuringOptions, trained: Trained, scale: int, given: list[str] | None
) -> tuple[list[str], "Tensor"]:
    """Sets that the ranges come from, and their crops, (N, 3, h, w) in [0, 1].

    Args:
        options: As given.
        trained: The network.
        scale: Its enlargement.
        given: Sets that the user named; None: the run's own if at hand, else a dependency's photos.
    """
    from sr_experiments.data import SRData

    def crops(specs: list[str], root: str | None) -> tuple[list[str], "Tensor"]:
        data = SRData(
            specs, [], [], scale, data_dir=options.data_dir, cache_dir=options.cache_dir, root=root
        )
        return specs, data.calibration(options.calibration_images, options.calibration_size)

    return at_hand(crops, trained, "train", given, options.root, FALLBACK)


def at_hand(
    read: Callable[[list[str], str | None], Read],
    trained: Trained,
    part: str,
    given: list[str] | None,
    root: str | None,
    fallback: list[str],
) -> Read:
    """Read the sets that the user named, else the run's own, else those that are always here.

    Args:
        read: Called with sets, and the folder that the set ``folder`` means.
        trained: The network.
        part: ``train`` or ``val``: which of the run's own.
        given: Sets that the user named; None: the run's own if at hand.
        root: The folder, as the user named it.
        fallback: Sets of a dependency.
    """
    if given is not None:
        return read(given, root)
    own, own_root = _own_data(trained, part)
    if own:
        try:
            return read(own, root or own_root)
        except UserError as error:
            print(f"the network's own data is not at hand ({str(error).splitlines()[0]})")
    return read(fallback, None)


def _own_data(trained: Trained, part: str) -> tuple[list[str], str | None]:
    """Sets that a run's configuration names, read as words and never instantiated.

    Args:
        trained: The network.
        part: ``train`` or ``val``.

    Returns:
        The sets, and the folder that the set ``folder`` means.
    """
    if trained.folder is None:
        return [*trained.sets] if part == "train" else [], None
    try:
        node = trained.folder.config().get("data")
    except UserError:
        return [], None
    sets, root = (node.get(part), node.get("root")) if isinstance(node, dict) else (None, None)
    specs = [spec for spec in sets if isinstance(spec, str)] if isinstance(sets, list) else []
    return specs, root if isinstance(root, str) else None
