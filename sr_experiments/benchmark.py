"""``python -m sr_experiments.benchmark``: latency of a network on this machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sr_experiments.configuration.options import DataOptions, RuntimeOptions, result_file, set_list
from sr_experiments.configuration.trained import Trained, find, open_checked
from sr_experiments.configuration.verbs import parse, run_verb
from sr_experiments.errors import UserError
from sr_experiments.files import write_json

if TYPE_CHECKING:
    from sr_experiments.deploy.runtimes import Runtime


@dataclass
class Options(DataOptions, RuntimeOptions):
    """Time a trained network on one frame, by everything here that can run it.

      python -m sr_experiments.benchmark run=outputs/xlsr-x3/2026-11-21_10-00-00
      python -m sr_experiments.benchmark file=someone_elses.tflite threads=1
      python -m sr_experiments.benchmark run=... runtime=int8 data=div2k:val output=speed.json

    The network alone is timed, its input in place; runtimes take turns, so that whatever else
    the machine does slows all of them alike. The score of the Mobile AI challenges,
    2^(2 PSNR) / (C ms), needs a PSNR: given with psnr= or measured on data=.

    run            run folder
    file           or a .tflite (also of others), .onnx or .safetensors file
    model          or a network that needs no training: bicubic
    scale          enlargement of model; null: 3
    runtime        only int8, fp16, fp32 (LiteRT), torch, torch_fp16 or onnx
    height, width  of the low-res frame; null: 360 and 640, or what a file is fixed to
    runs           runs that count
    warmup         runs before them that do not
    psnr           dB over RGB, for the score
    data           or sets to measure it on; the challenges' own is DIV2K
    root           folder of images that data=folder means
    output         .json file for the result
    overwrite      replace output when it is there already
    threads        CPU threads; null: all
    device         of torch: cpu, cuda
    data_dir       folder of the data sets (SR_DATA_DIR)
    cache_dir      packed and downloaded sets (SR_CACHE_DIR); null: the user's cache folder
    """

    height: int | None = None
    width: int | None = None
    runs: int = 20
    warmup: int = 3
    psnr: float | None = None
    data: Any = None
    output: str | None = None
    overwrite: bool = False


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command line."""
    options = parse(Options, argv)
    trained = find(options, options.runtime, options.threads, options.device)
    for key, least in (("runs", 1), ("warmup", 0), ("height", 1), ("width", 1)):
        value = getattr(options, key)
        if value is not None and value < least:
            raise UserError(f"{key}={value} is below {least}")
    specs = set_list(options.data)
    if specs is not None and options.psnr is not None:
        raise UserError("psnr= gives what data= would measure: use one of them")
    output = result_file(options.output, (".json",), overwrite=options.overwrite)
    from sr_experiments.reporting import timing
    from sr_experiments.reporting.shipping import HEIGHT, WIDTH

    runtimes = _runtimes(options, trained)
    psnr: list[float | None] = [options.psnr] * len(runtimes)
    if specs is not None:
        psnr = list(
            timing.measure_psnr(
                runtimes,
                specs,
                data_dir=options.data_dir,
                cache_dir=options.cache_dir,
                root=options.root,
            )
        )
    fixed = next((runtime.input_size for runtime in runtimes if runtime.input_size), None)
    height, width = fixed or (HEIGHT, WIDTH)
    result = timing.benchmark(
        trained.label,
        runtimes,
        psnr,
        height=options.height or height,
        width=options.width or width,
        runs=options.runs,
        warmup=options.warmup,
    )
    if trained.build is not None:
        result.count(trained.network())
    timing.print_result(result)
    if output is not None:
        write_json(output, result.as_json())
        print(f"written: {output}")


def _runtimes(options: Options, trained: Trained) -> list["Runtime"]:
    names = [options.runtime] if options.runtime else trained.available()
    opened: list[Runtime] = []
    for name in names:
        opened.append(open_checked(options, trained, name))
        if name == "torch":
            from sr_experiments.deploy.torch_runtime import TorchRuntime

            # The faster layout on most CPUs: the comparison is with torch at its best.
            opened.append(TorchRuntime(trained.network(), options.device, channels_last=True))
    return opened


if __name__ == "__main__":
    run_verb(main)
