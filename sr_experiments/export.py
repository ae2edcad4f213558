"""``python -m sr_experiments.export``: TFLite and ONNX files with a parity table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import MISSING

from sr_experiments.configuration.options import DataOptions, SourceOptions, set_list
from sr_experiments.configuration.trained import Trained, find
from sr_experiments.configuration.verbs import parse, run_verb
from sr_experiments.errors import UserError
from sr_experiments.files import write_atomic

if TYPE_CHECKING:
    from torch import Tensor

    from sr_experiments.reporting.exporting import Check

TARGETS = ("all", "ai_benchmark")
UINT8 = "uint8"
FALLBACK = ["photos:train"]
MEASURING = (
    "per_channel", "observer", "symmetric", "fixed_output", "equalize", "adaptive_rounding",
    "bias_correction", "calibration_images", "calibration_size", "data",
)  # fmt: skip


@dataclass
class Options(DataOptions, SourceOptions):
    r"""Write a trained network as TFLite (FP32 and INT8) and ONNX, and check that they agree.

      python -m sr_experiments.export run=outputs/xlsr-x3/2026-11-21_10-00-00 output=files
      python -m sr_experiments.export file=model.safetensors output=npu per_channel=false \
          height=360 width=640 resizable=false
      python -m sr_experiments.export run=... output=phone target=ai_benchmark

    Writes model_fp32.tflite, model_int8.tflite and, where the extra onnx is installed,
    model.onnx and model_int8.onnx, with the same scales. Each is run on a photo and compared with
    torch: the FP32 files with the network, the INT8 ones with its fake-quantised twin.

    run                 run folder
    file                or a model.safetensors
    model               or a network that needs no training: bicubic
    scale               enlargement of model; null: 3
    output              folder for the files
    overwrite           replace files that are there already
    target              all: every file; ai_benchmark: only model.tflite, INT8 of fixed size with
                        uint8 at either end, as the Android app AI Benchmark loads it
    height, width       of the TFLite files' input
    resizable           users of the TFLite files may change height and width
    per_channel         a weight scale per output channel; false: one per kernel, for older NPUs
    input_type          of the INT8 file: uint8, int8, float32
    output_type         the same for its output
    trained_ranges      keep the ranges of quantisation-aware training; false: measure new ones
    observer            rule for the ranges: minmax, moving_average, percentile, mse, entropy
    symmetric           zero points of activations are 0
    fixed_output        the output's levels are pixel values, whatever was measured
    equalize            cross-layer equalisation
    adaptive_rounding   steps of AdaRound for each layer; 0: round to the nearest level
    bias_correction     take the shift of each channel's mean off the biases
    calibration_images  low-res crops that the ranges are measured on
    calibration_size    their height and width
    data                sets they come from; null: the run's own if at hand, else photos:train
    root                folder of images that data=folder means
    data_dir            folder of the data sets (SR_DATA_DIR)
    cache_dir           packed and downloaded sets (SR_CACHE_DIR); null: the user's cache folder
    """

    output: str = MISSING
    overwrite: bool = False
    target: str = "all"
    height: int = 360
    width: int = 640
    resizable: bool = True
    per_channel: bool = True
    input_type: str = "uint8"
    output_type: str = "uint8"
    trained_ranges: bool = True
    observer: str = "minmax"
    symmetric: bool = False
    fixed_output: bool = False
    equalize: bool = False
    adaptive_rounding: int = 0
    bias_correction: bool = True
    calibration_images: int = 16
    calibration_size: int = 64
    data: Any = None


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command line."""
    options = parse(Options, argv)
    trained = find(options)
    folder = Path(options.output).expanduser()
    if folder.is_file():
        raise UserError(f"output={folder} is a file; name a folder")
    for key in ("height", "width"):
        if getattr(options, key) < 1:
            raise UserError(f"{key}={getattr(options, key)} is below 1")
    app, resizable = _target(options)
    from sr_experiments.quantization.modes import PostTraining
    from sr_experiments.reporting import exporting

    for name in exporting.export_names(app):
        if (folder / name).exists() and not options.overwrite:
            raise UserError(f"{folder / name} is there already; add overwrite=true to replace it")
    mode = PostTraining(
        per_channel=options.per_channel,
        observer=options.observer,
        calibration_images=options.calibration_images,
        calibration_size=options.calibration_size,
        symmetric=options.symmetric,
        fixed_output=options.fixed_output,
        equalize=options.equalize,
        adaptive_rounding=options.adaptive_rounding,
        bias_correction=options.bias_correction,
        input_type=options.input_type,  # type: ignore[arg-type]  # checked by PostTraining
        output_type=options.output_type,  # type: ignore[arg-type]
    )
    network = trained.network()
    if options.scale is not None and options.scale != network.scale:
        raise UserError(f"scale={options.scale}: {trained.label} enlarges x{network.scale}")
    if not network.deployable:
        raise UserError(f"{trained.label} cannot be exported: {network.reason}")
    specs, calibration = ["the training"], None
    if network.ranges is None or not options.trained_ranges:
        specs, calibration = _calibration(options, trained, network.scale)
    else:
        _refuse_measuring(options)
    exported = exporting.export(
        network,
        mode,
        calibration,
        height=options.height,
        width=options.width,
        resizable=resizable,
        app=app,
    )
    size = None if resizable else (options.height, options.width)
    photo = exporting.photo(network.scale, size, options.cache_dir)
    checks = list(exporting.check(exported, *photo))
    for name, content in exported.files.items():
        write_atomic(folder / name, content)
    _print(folder, exported.files, checks)
    print(f"ranges from {', '.join(specs)}; parity on the photo photos:test")
    if app:
        print(
            f"copy {folder / exporting.AI_BENCHMARK} to the folder Download of the phone; in AI "
            "Benchmark: PRO Mode, Custom Model, INT8"
        )
    elif exporting.ONNX not in exported.files:
        print('no model.onnx: pip install "sr_experiments[onnx]"')


def _target(options: Options) -> tuple[bool, bool]:
    """Whether the app's file is wanted, and whether files are resizable."""
    if options.target not in TARGETS:
        raise UserError(f"target={options.target} does not exist: use {', '.join(TARGETS)}")
    app = options.target == "ai_benchmark"
    for key in ("input_type", "output_type"):
        if app and getattr(options, key) != UINT8:
            raise UserError(f"{key}={getattr(options, key)}: target=ai_benchmark is of {UINT8}")
    return app, options.resizable and not app


def _refuse_measuring(options: Options) -> None:
    """Options of a measurement have no use beside trained ranges."""
    for key in MEASURING:
        if getattr(options, key) != getattr(Options, key):
            raise UserError(
                f"{key}={getattr(options, key)}: this network keeps the ranges that it was trained "
                "with; add trained_ranges=false to measure new ones"
            )


def _calibration(options: Options, trained: Trained, scale: int) -> tuple[list[str], "Tensor"]:
    """Sets that the ranges come from, and their crops, (N, 3, h, w) in [0, 1]."""
    from sr_experiments.data import SRData

    def crops(specs: list[str], root: str | None) -> tuple[list[str], "Tensor"]:
        data = SRData(
            specs, [], [], scale, data_dir=options.data_dir, cache_dir=options.cache_dir, root=root
        )
        return specs, data.calibration(options.calibration_images, options.calibration_size)

    given = set_list(options.data)
    if given is not None:
        return crops(given, options.root)
    own, root = _own_data(trained)
    if own:
        try:
            return crops(own, options.root or root)
        except UserError as error:
            print(f"the run's own data is not at hand ({str(error).splitlines()[0]})")
    return crops(FALLBACK, None)


def _own_data(trained: Trained) -> tuple[list[str], str | None]:
    """Training sets that a run's configuration names, read as words and never instantiated."""
    if trained.folder is None:
        return [], None
    try:
        node = trained.folder.config().get("data")
    except UserError:
        return [], None
    train, root = (node.get("train"), node.get("root")) if isinstance(node, dict) else (None, None)
    specs = [spec for spec in train if isinstance(spec, str)] if isinstance(train, list) else []
    return specs, root if isinstance(root, str) else None


def _print(folder: Path, files: Mapping[str, bytes], checks: Sequence["Check"]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"8-bit pictures of one photo: {folder}")
    table.add_column("file", no_wrap=True)
    table.add_column("KiB", justify="right")
    table.add_column("torch", no_wrap=True)
    for column in ("equal", "+-1", "max", "dB", "less"):
        table.add_column(column, justify="right", no_wrap=True)
    for check in checks:
        table.add_row(
            check.file,
            f"{len(files[check.file]) / 1024:.1f}",
            check.against,
            f"{check.parity.equal:.2%}",
            f"{check.parity.within_one:.2%}",
            f"{check.parity.largest}",
            f"{check.psnr:.2f}",
            f"{check.psnr_difference:+.3f}",
        )
    Console().print(table)
    print(
        "compared with torch's own picture, INT8 with that of the fake-quantised network: equal "
        "pixels, those within one level, largest difference; PSNR over RGB, and less torch's"
    )


if __name__ == "__main__":
    run_verb(main)
