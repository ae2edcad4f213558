"""``python -m sr_experiments.benchmark``: latency and memory of networks, here or on a phone."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr_experiments.configuration.entry import run_verb
from sr_experiments.configuration.options import (
    DataOptions,
    RuntimeOptions,
    SourceOptions,
    name_list,
    result_file,
    set_list,
)
from sr_experiments.configuration.trained import Trained, find, open_checked
from sr_experiments.configuration.verbs import parse
from sr_experiments.errors import UserError
from sr_experiments.files import write_json

if TYPE_CHECKING:
    from sr_experiments.reporting.timing import Candidate


@dataclass
class Options(DataOptions, RuntimeOptions):
    """Time trained networks on one frame, by everything here that can run them.

      python -m sr_experiments.benchmark run=outputs/xlsr-x3/2026-11-21_10-00-00
      python -m sr_experiments.benchmark file=someone_elses.tflite threads=1 layers=true
      python -m sr_experiments.benchmark run=outputs/abpn-x3/... file=[theirs.tflite,other.onnx]
      python -m sr_experiments.benchmark run=... runtime=int8 data=div2k:val output=speed.json
      python -m sr_experiments.benchmark run=... device=adb benchmark_model=<LiteRT's tool>

    The network alone is timed, its input in place; all take turns, so that whatever else the
    machine does slows all of them alike, and each is compared with the first. The score of the
    Mobile AI challenges, 2^(2 PSNR) / (C ms), needs a PSNR: given with psnr= or measured on data=.
    device=adb pushes the .tflite files to a connected Android phone and runs LiteRT's own
    benchmark_model there, which is pushed once.

    run            run folder, or several: [a,b]
    file           or .tflite (also of others), .onnx or .safetensors files, beside runs too
    pretrained     or networks that the package brings trained, beside them: [xlsr,espcn]
    model          or a network that needs no training: bicubic
    scale          enlargement of pretrained or model; null: 3
    runtime        only int8, fp16, fp32 (LiteRT), torch, torch_fp16 or onnx; null: all of one
                   network, and of several what each ships
    height, width  of the low-res frame; null: 360 and 640, or what a file is fixed to
    runs           runs that count
    warmup         runs before them that do not
    layers         the milliseconds of each operator as well, of .tflite and .onnx files
    memory         the peak memory of each, in a process of its own
    psnr           dB over RGB, for the score
    data           or sets to measure it on; the challenges' own is DIV2K
    root           folder of images that data=folder means
    output         .json file for the result
    overwrite      replace output when it is there already
    threads        CPU threads; null: all, and 4 of a phone
    device         of torch: cpu, cuda; or a phone: adb, adb:<serial number>
    benchmark_model  LiteRT's tool for the phone; null: the one pushed before
    delegate       of a phone: xnnpack, none (LiteRT's plain kernels), gpu, nnapi
    data_dir       folder of the data sets (SR_DATA_DIR)
    cache_dir      packed and downloaded sets (SR_CACHE_DIR); null: the user's cache folder
    """

    run: Any = None
    file: Any = None
    pretrained: Any = None
    height: int | None = None
    width: int | None = None
    runs: int = 20
    warmup: int = 3
    layers: bool = False
    memory: bool = True
    psnr: float | None = None
    data: Any = None
    output: str | None = None
    overwrite: bool = False
    benchmark_model: str | None = None
    delegate: str = "xnnpack"


PHONE = "adb"
TFLITE = ("tflite", "int8", "fp16", "fp32")  # runtimes that are files a phone can run
PHONE_THREADS = 4  # as many fast cores as most phones have


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command line."""
    options = parse(Options, argv)
    networks = _networks(options)
    for key, least in (("runs", 1), ("warmup", 0), ("height", 1), ("width", 1)):
        value = getattr(options, key)
        if value is not None and value < least:
            raise UserError(f"{key}={value} is below {least}")
    specs = set_list(options.data)
    if specs is not None and options.psnr is not None:
        raise UserError("psnr= gives what data= would measure: use one of them")
    if options.psnr is not None and len(networks) > 1:
        raise UserError("psnr= is of one network: measure that of several with data=")
    output = result_file(options.output, (".json",), overwrite=options.overwrite)
    if options.device.partition(":")[0] == PHONE:
        _on_phone(options, networks, specs, output)
        return
    for key in ("benchmark_model", "delegate"):
        if getattr(options, key) != getattr(Options, key):
            raise UserError(f"{key}= is of a phone: add device=adb")
    _here(options, networks, specs, output)


def _networks(options: Options) -> dict[str, Trained]:
    """All networks that were named, by labels that differ."""
    sources = [
        SourceOptions(**{key: name}, scale=options.scale)
        for key in ("run", "file", "pretrained")
        for name in name_list(key, getattr(options, key))
    ]
    if options.model is not None:
        sources.append(SourceOptions(model=options.model, scale=options.scale))
    found = []
    for source in sources or [SourceOptions()]:
        runtime = options.runtime if source.file is None or len(sources) == 1 else None
        device = "cpu" if options.device.partition(":")[0] == PHONE else options.device
        trained = find(source, runtime, options.threads, device)
        found.append((trained, "/".join(Path(source.file or trained.label).parts[-2:])))
    labels = [trained.label for trained, _ in found]
    return {
        trained.label if labels.count(trained.label) == 1 else longer: trained
        for trained, longer in found
    }


def _here(
    options: Options, networks: dict[str, Trained], specs: list[str] | None, output: Path | None
) -> None:
    from sr_experiments.deploy.layers import has_layers
    from sr_experiments.reporting import timing
    from sr_experiments.reporting.timing_tables import print_result

    candidates = [
        candidate
        for label, trained in networks.items()
        for candidate in _candidates(options, label, trained, alone=len(networks) == 1)
    ]
    height, width = _size(options, candidates)
    if options.layers and not any(has_layers(item.runtime) for item in candidates):
        raise UserError("layers=true is of .tflite and .onnx files: name one, or runtime=fp32")
    candidates = _with_psnr(options, candidates, specs)
    if options.memory:
        candidates = [item.with_memory(height, width) for item in candidates]
    result = timing.benchmark(
        candidates,
        height=height,
        width=width,
        runs=options.runs,
        warmup=options.warmup,
        layers=options.layers,
    )
    for label, trained in networks.items():
        if trained.build is not None:
            result.count(label, trained.network())
    print_result(result)
    if output is not None:
        write_json(output, result.as_json())
        print(f"written: {output}")


def _on_phone(
    options: Options, networks: dict[str, Trained], specs: list[str] | None, output: Path | None
) -> None:
    from sr_experiments.deploy.adb import Phone
    from sr_experiments.deploy.benchmark_tool import DELEGATES
    from sr_experiments.reporting.phone_timing import benchmark_on_phone, print_phone

    if options.delegate not in DELEGATES:
        raise UserError(f"delegate={options.delegate} does not exist: use {', '.join(DELEGATES)}")
    phone = Phone(options.device.partition(":")[2] or None)
    tool = phone.install_tool(
        Path(options.benchmark_model).expanduser() if options.benchmark_model else None
    )
    candidates = [
        candidate
        for label, trained in networks.items()
        for candidate in _candidates(options, label, trained, alone=len(networks) == 1, only=TFLITE)
    ]
    height, width = _size(options, candidates)
    result = benchmark_on_phone(
        phone,
        tool,
        _with_psnr(options, candidates, specs),
        height=height,
        width=width,
        threads=options.threads or PHONE_THREADS,
        runs=options.runs,
        warmup=options.warmup,
        delegate=options.delegate,
        layers=options.layers,
    )
    print_phone(result)
    if output is not None:
        write_json(output, result.as_json())
        print(f"written: {output}")


def _size(options: Options, candidates: Sequence["Candidate"]) -> tuple[int, int]:
    """Height and width of the frame."""
    from sr_experiments.reporting.shipping import HEIGHT, WIDTH

    fixed = next((item.runtime.input_size for item in candidates if item.runtime.input_size), None)
    height, width = fixed or (HEIGHT, WIDTH)
    return options.height or height, options.width or width


def _with_psnr(
    options: Options, candidates: list["Candidate"], specs: list[str] | None
) -> list["Candidate"]:
    """The candidates with their PSNR on the sets, if any are named."""
    if specs is None:
        return candidates
    from sr_experiments.reporting.timing import measure_psnr

    places = {"data_dir": options.data_dir, "cache_dir": options.cache_dir}
    return [*measure_psnr(candidates, specs, **places, root=options.root)]


def _candidates(
    options: Options,
    label: str,
    trained: Trained,
    *,
    alone: bool,
    only: Sequence[str] | None = None,
) -> list["Candidate"]:
    """What runs a network here, or only such runtimes."""
    from sr_experiments.reporting.timing import Candidate

    names = [name for name in trained.available() if only is None or name in only]
    if options.runtime is not None and trained.build is not None:
        names = [options.runtime]
    if not names or (only is not None and not set(names) <= set(only)):
        raise UserError(f"device=adb runs .tflite files, and {label} is none: use runtime=int8")
    if not alone:
        names = names[:1]
    found = []
    for name in names:
        opened = open_checked(options, trained, name)
        libraries = trained.libraries(name)
        again = partial(trained.open, name)
        found.append(Candidate(label, opened, options.psnr, again, libraries))
        if name == "torch":
            # The faster layout on most CPUs: the comparison is with torch at its best.
            again = partial(trained.open, name, channels_last=True)
            found.append(Candidate(label, again(), options.psnr, again, libraries))
    return found


if __name__ == "__main__":
    run_verb(main)
