"""``python -m sr_experiments.layers``: what INT8 does to each layer of a trained network."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sr_experiments.configuration.entry import run_verb
from sr_experiments.configuration.measuring import (
    MeasuringOptions,
    at_hand,
    calibration,
    keeps_ranges,
    mode_of,
    refuse_measuring,
)
from sr_experiments.configuration.options import SourceOptions, result_file, set_list
from sr_experiments.configuration.trained import Trained, find
from sr_experiments.configuration.verbs import parse
from sr_experiments.errors import UserError, blaming
from sr_experiments.files import write_atomic
from sr_experiments.spreadsheet import csv_text

if TYPE_CHECKING:
    from rich.console import Console

    from sr_experiments.quantization import QuantizedGraph
    from sr_experiments.quantization.sensitivity import Bits, Sweep
    from sr_experiments.reporting.layer_report import Pictures

FALLBACK = ["photos:val"]
MOST_BITS = 16


@dataclass
class Options(MeasuringOptions, SourceOptions):
    """Signal to quantisation noise, saturation and range of every layer; which to fix first.

      python -m sr_experiments.layers run=outputs/xlsr-x3/2026-11-21_10-00-00
      python -m sr_experiments.layers run=... sensitivity=true bits=[4,16,float]
      python -m sr_experiments.layers run=... per_channel=false observer=mse data=set5

    Layers run on LiteRT's integer kernels and are compared with floating point. The sensitivity
    sweep computes in torch: each layer by itself in INT8, and among INT8 ones in other bits.

    run                 run folder
    file                or a model.safetensors
    pretrained          or a network that the package brings trained: xlsr, espcn, ...
    model               or a network that needs no training: bicubic
    scale               enlargement of pretrained or model; null: 3
    sensitivity         also try each layer in INT8 and in other bits
    bits                of one layer's kernel and output, for sensitivity: 2 to 16, or float
    data                sets that are looked at; null: the run's validation set, else photos:val
    pictures            how many of their photos
    size                side of the square that is cut out of a photo's middle, low-res pixels
    page                keep the result in the run folder, for its report.html
    output              .csv file for the tables
    overwrite           replace output when it is there already
    trained_ranges      keep the ranges of quantisation-aware training; false: measure new ones
    activations         int8, or int16 up to depth-to-space (16x8)
    per_channel         a weight scale per output channel; false: one per kernel
    observer            rule for the ranges: minmax, moving_average, percentile, mse, entropy
    symmetric           zero points of activations are 0
    fixed_output        the output's levels are pixel values, whatever was measured
    equalize            cross-layer equalisation
    adaptive_rounding   steps of AdaRound for each layer; 0: round to the nearest level
    bias_correction     take the shift of each channel's mean off the biases
    calibration_images  low-res crops that the ranges are measured on
    calibration_size    their height and width
    calibration_data    sets they come from; null: the run's own if at hand, else photos:train
    root                folder of images that data=folder means
    data_dir            folder of the data sets (SR_DATA_DIR)
    cache_dir           packed and downloaded sets (SR_CACHE_DIR); null: the user's cache folder
    """

    sensitivity: bool = False
    bits: Any = "[4,16,float]"
    data: Any = None
    pictures: int = 4
    size: int = 96
    page: bool = False
    output: str | None = None
    overwrite: bool = False
    calibration_data: Any = None


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command line."""
    options = parse(Options, argv)
    widths = _widths(options.bits)
    for key, least in (("pictures", 1), ("size", 8)):
        if getattr(options, key) < least:
            raise UserError(f"{key}={getattr(options, key)} is below {least}")
    output = result_file(options.output, (".csv",), overwrite=options.overwrite)
    trained = find(options)
    if options.page and trained.folder is None:
        raise UserError("page=true needs a run folder: run=...")
    import torch
    from rich.console import Console

    torch.set_num_threads(trained.threads)
    console = Console(highlight=False)
    with console.status("quantising") as status:
        quantized = _quantized(options, trained)
        pictures = _pictures(options, trained, quantized.graph.scale)
        status.update("layers")
        from sr_experiments.reporting import layer_report

        layers = layer_report.measure_layers(quantized, pictures)
    tables = [("layers", list(layer_report.COLUMNS), layer_report.table_rows(layers))]
    rows = layer_report.narrow_rows(layers)
    _print(
        f"{trained.label}: what INT8 does to each layer, in dB", layer_report.NARROW, rows, console
    )
    console.print(layer_report.verdict(layers), markup=False)
    found = None
    if options.sensitivity:
        found = _sweep(quantized, pictures, widths, console)
        tables.append(("sensitivity", *layer_report.sensitivity_rows(found)))
        _print("Change of PSNR in dB, the worst layer first", *tables[1][1:], console)
        console.print(layer_report.sensitivity_verdict(found), markup=False)
    if output is not None:
        write_atomic(output, "\n".join(csv_text([head, *rows]) for _, head, rows in tables))
        console.print(f"written: {output}", markup=False)
    if options.page and trained.folder is not None:
        from sr_experiments.reporting.page import write_page

        layer_report.write_layers(trained.folder.path, layers, found)
        folder = trained.folder
        page = blaming(
            f"run={folder.path}: a file there does not hold what it should",
            lambda: write_page(folder),
        )
        console.print(f"written: {page}", markup=False)


def _widths(value: Any) -> "list[Bits]":
    """The value of ``bits=``: None for floating point."""
    words = value.strip("[]").split(",") if isinstance(value, str) else value
    if not isinstance(words, list):
        words = [words]
    widths: list[Bits] = []
    for word in words:
        if word == "float":
            widths.append(None)
        elif str(word).isdigit() and 2 <= int(word) <= MOST_BITS:
            widths.append(int(word))
        else:
            raise UserError(f"bits={word} is neither float nor a whole number from 2 to 16")
    return list(dict.fromkeys(widths))


def _quantized(options: Options, trained: Trained) -> "QuantizedGraph":
    mode = mode_of(options)
    network = trained.network()
    if options.scale is not None and options.scale != network.scale:
        raise UserError(f"scale={options.scale}: {trained.label} enlarges x{network.scale}")
    if not network.deployable:
        raise UserError(f"{trained.label} cannot be quantised: {network.reason}")
    crops = None
    if keeps_ranges(options, network):
        refuse_measuring(options, "calibration_data")
    else:
        given = set_list(options.calibration_data)
        _, crops = calibration(options, trained, network.scale, given)
    from sr_experiments.models import collapse
    from sr_experiments.reporting.exporting import quantized_twin

    return quantized_twin(collapse(network), mode, crops)


def _pictures(options: Options, trained: Trained, scale: int) -> "Pictures":
    from sr_experiments.data import SRData
    from sr_experiments.reporting.layer_report import cut

    def photos(specs: list[str], root: str | None) -> "Pictures":
        data = SRData(
            [], specs, [], scale, data_dir=options.data_dir, cache_dir=options.cache_dir, root=root
        )
        return cut(data.val_pairs(), options.pictures, options.size)

    return at_hand(photos, trained, "val", set_list(options.data), options.root, FALLBACK)


def _sweep(
    quantized: "QuantizedGraph",
    pictures: "Pictures",
    widths: "list[Bits]",
    console: "Console",
) -> "Sweep":
    from functools import partial

    from rich.progress import Progress

    from sr_experiments.quantization.layer_noise import computing
    from sr_experiments.quantization.sensitivity import sweep

    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        total = len(computing(quantized)) * len(pictures)
        task = progress.add_task("sensitivity", total=total)
        return sweep(quantized, pictures, widths, partial(progress.advance, task))


def _print(
    title: str, head: Sequence[str], rows: Sequence[Sequence[str]], console: "Console"
) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title))
    for column in head:
        text = column in ("layer", "operator")
        table.add_column(column, justify="left" if text else "right", no_wrap=column == "layer")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    console.print(table)


if __name__ == "__main__":
    run_verb(main)
