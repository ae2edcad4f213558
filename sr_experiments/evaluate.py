"""``python -m sr_experiments.evaluate``: score a network on sets of images."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sr_experiments.configuration.entry import run_verb
from sr_experiments.configuration.options import DataOptions, RuntimeOptions, result_file, set_list
from sr_experiments.configuration.trained import WAYS, Trained, find, open_checked
from sr_experiments.configuration.verbs import parse
from sr_experiments.files import write_atomic, write_json

if TYPE_CHECKING:
    from sr_experiments.deploy.runtimes import Runtime
    from sr_experiments.reporting.scores import Predictor


@dataclass
class Options(DataOptions, RuntimeOptions):
    """PSNR and SSIM of a trained network, beside bicubic and the published figures.

      python -m sr_experiments.evaluate run=outputs/xlsr-x3/2026-11-21_10-00-00
      python -m sr_experiments.evaluate file=someone_elses.tflite data=set5
      python -m sr_experiments.evaluate pretrained=xlsr scale=2 data=[set5,set14]
      python -m sr_experiments.evaluate model=bicubic scale=2 data=[set5,set14]
      python -m sr_experiments.evaluate run=... data=folder root=my_photos output=mine.csv
      python -m sr_experiments.evaluate run=... data=set5 perception=true weights_dir=weights

    run            run folder: its FP32 network and its INT8 file are scored
    file           or a .tflite (also of others), .onnx or .safetensors file
    pretrained     or a network that the package brings trained: xlsr, espcn, ...
    model          or a network that needs no training: bicubic
    scale          enlargement of pretrained or model; null: 3
    data           set or [sets]; null: every benchmark set at hand and the test photo
    root           folder of images that data=folder means
    runtime        only int8, fp16, fp32 (LiteRT), torch, torch_fp16 or onnx
    self_ensemble  mean over the 8 orientations of each image: 8 times as slow, a little better
    per_image      a row per image; null: for small sets
    perception     a second table: LPIPS, DISTS and distances in MobileNetV2, mean over images
    weights_dir    folder with files that begin with alexnet, vgg16 and mobilenet_v2, for those;
                   null: torchvision's hub
    halves         the weights of MobileNetV2 there are used to pixels in -1..1, as TFLite's are,
                   and not to ImageNet's mean and deviation
    output         .json or .csv file for the scores of every image
    overwrite      replace output when it is there already
    threads        CPU threads; null: all
    device         of torch: cpu, cuda
    data_dir       folder of the data sets (SR_DATA_DIR)
    cache_dir      packed and downloaded sets (SR_CACHE_DIR); null: the user's cache folder
    """

    data: Any = None
    self_ensemble: bool = False
    per_image: bool | None = None
    perception: bool = False
    weights_dir: str | None = None
    halves: bool = False
    output: str | None = None
    overwrite: bool = False


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command line."""
    options = parse(Options, argv)
    trained = find(options, options.runtime, options.threads, options.device)
    output = result_file(options.output, (".json", ".csv"), overwrite=options.overwrite)
    from rich.console import Console
    from rich.progress import Progress

    from sr_experiments.reporting import environment, evaluation
    from sr_experiments.reporting.image_scores import as_csv

    runtimes = _runtimes(options, trained)
    scale = next(iter(runtimes.values())).scale
    specs = set_list(options.data)
    sets, missing = evaluation.load_sets(
        specs or evaluation.default_sets(),
        scale,
        optional=specs is None,
        data_dir=options.data_dir,
        cache_dir=options.cache_dir,
        root=options.root,
    )
    result = evaluation.Evaluation(trained.label, _network_name(trained), scale, missing=missing)
    predictors = {key: _predictor(runtime, options) for key, runtime in runtimes.items()}
    looks = dict(predictors)
    if result.network == "Bicubic" and not options.self_ensemble:
        predictors = {}  # the table starts with it anyway
    console = Console()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        for name, pairs in sets.items():
            task = progress.add_task(name, total=len(pairs))
            result.sets[name] = evaluation.score_networks(
                pairs, predictors, scale, partial(progress.advance, task)
            )
    evaluation.print_evaluation(result, options.per_image, console)
    if options.perception:
        from sr_experiments.reporting import looking

        metrics = looking.metrics(options.weights_dir, halves=options.halves)
        looking.print_looks(looking.compare(sets, looks, scale, metrics), console)
    if output is not None:
        if output.suffix.lower() == ".csv":
            write_atomic(output, as_csv(result.label, scale, result.sets))
        else:
            facts = {
                "source": {name: getattr(options, name) for name in WAYS},
                "self_ensemble": options.self_ensemble,
                "environment": environment.describe(),
            }
            write_json(output, evaluation.as_json(result, facts))
        console.print(f"written: {output}", highlight=False, markup=False)


def _runtimes(options: Options, trained: Trained) -> dict[str, "Runtime"]:
    if options.runtime is not None:
        return {options.runtime: open_checked(options, trained, options.runtime)}
    if trained.build is None:
        name = trained.available()[0]
        return {name: open_checked(options, trained, name)}
    # The network as torch trained it, and the integers that ship.
    runtimes = {"fp32": open_checked(options, trained, "torch")}
    if "int8" in trained.files:
        runtimes["int8"] = open_checked(options, trained, "int8")
    return runtimes


def _network_name(trained: Trained) -> str | None:
    return None if trained.build is None else type(trained.network()).__name__


def _predictor(runtime: "Runtime", options: Options) -> "Predictor":
    from sr_experiments.deploy.ensemble import predict_ensemble
    from sr_experiments.deploy.scoring import predict_image

    predict = predict_ensemble if options.self_ensemble else predict_image
    return lambda low_res: predict(runtime, low_res)


if __name__ == "__main__":
    run_verb(main)
