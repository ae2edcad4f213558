"""Cards of the networks that the package brings: what made them, what they reach, what binds them.

A card is JSON; tables and the page of cards are made of it. Its scores are measured on the very
files that it describes, and must be those of the run that they come from.
"""

import hashlib
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sr_experiments.deploy.runtimes import open_runtime
from sr_experiments.deploy.scoring import predict_image
from sr_experiments.errors import UserError
from sr_experiments.models import SavedModel, collapse, count_parameters, read_model, save_model
from sr_experiments.reporting.evaluation import load_sets, score_networks
from sr_experiments.reporting.run_folder import RunFolder, as_typed, stage_configs

SCHEMA_VERSION = 1
SETS = ("set5", "set14")
METRICS = {"psnr_y": 4, "ssim_y": 5}  # decimals
TOLERANCE = 0.005  # dB between a file's score and that of the run it comes from
RESEARCH = ("t91", "general100", "bsds200", "div2k", "flickr2k", "df2k")
LICENCES = {
    "research": (
        "The pictures ({sets}) were published for research. Their makers say nothing of weights, "
        "and whether a picture's terms reach them is not settled: take these for research, and "
        "train your own on pictures you hold the rights to for anything else."
    ),
    "own": "Ask those who hold the rights to the pictures ({sets}) before passing the weights on.",
    "free": "Trained on photos that scikit-image's wheel carries, each under a free licence.",
}


def make_card(
    run: RunFolder,
    weights: Path,
    int8: Path,
    *,
    defaults: Callable[[str, int], Mapping[str, Any]],
    places: Mapping[str, str | None],
    starts: Mapping[str, Sequence[str]],
    record: str | None = None,
) -> dict[str, Any]:
    """Write the weights and the INT8 file of a finished run, measure both, and describe them.

    Args:
        run: Finished, of a network that enlarges, with an INT8 file.
        weights: File to write, FP32 and collapsed.
        int8: File to write.
        defaults: The options of a network of ``conf/model`` at a scale.
        places: ``data_dir`` and ``cache_dir``; Set5 and Set14 must be there.
        starts: SHA-256 of files that a run may start from, and the sets that made each.
        record: Where the run's evidence is kept.

    Raises:
        UserError: The run is unfinished, lacks a file, has seen a test picture, or its files do
            not give what its summary says.
    """
    summary, config = _finished(run), run.config()
    nodes = stage_configs(config)
    name, scale = str(summary["model"]), int(summary["scale"])
    saved, on_grid = fp32_network(run, config)
    network = saved.build()
    network = network if network.collapsed else collapse(network)
    save_model(network, saved.config, weights)
    int8.write_bytes((run.path / "model_int8.tflite").read_bytes())
    scores = measure(weights, int8, scale, places)
    _compare(run, summary, scores)
    usual = defaults(name, scale)
    options = {
        f"model.{key}": value for key, value in saved.config.items() if usual.get(key) != value
    }
    train = _train_sets(run, config, starts)
    return {
        "schema_version": SCHEMA_VERSION,
        "model": name,
        "scale": scale,
        "options": options,
        "on_grid": on_grid,
        "gan": any("GAN" in str(node.get("task", {}).get("_target_")) for node in nodes),
        "parameters": count_parameters(network),
        "data": train,
        "command": command(run),
        "seed": config["seed"],
        "steps": summary["train"]["steps"],
        "seconds": summary["train"]["seconds"],
        "record": record,
        "made_with": _made_with(run),
        "licence": licence(train),
        "files": {
            "fp32": {"bytes": weights.stat().st_size, "sha256": _digest(weights)},
            "int8": {"bytes": int8.stat().st_size, "sha256": _digest(int8)},
        },
        "scores": scores,
    }


def measure(
    weights: Path,
    int8: Path,
    scale: int,
    places: Mapping[str, str | None],
    sets: Sequence[str] = SETS,
) -> dict[str, dict[str, dict[str, float]]]:
    """Luma PSNR and SSIM by set and by bicubic, FP32 and INT8, of two files.

    Args:
        weights: FP32, run by torch.
        int8: Run by LiteRT.
        scale: Enlargement.
        places: ``data_dir`` and ``cache_dir``.
        sets: Which.

    Raises:
        UserError: A set is not here.
    """
    runtimes = {"fp32": open_runtime(weights), "int8": open_runtime(int8)}
    predictors = {
        key: lambda low_res, runtime=runtime: predict_image(runtime, low_res)
        for key, runtime in runtimes.items()
    }
    found, _ = load_sets(
        sets,
        scale,
        optional=False,
        data_dir=places["data_dir"],
        cache_dir=places["cache_dir"],
        root=None,
    )
    return {
        name: {
            key: {metric: round(score.mean[metric], digits) for metric, digits in METRICS.items()}
            for key, score in score_networks(pairs, predictors, scale).items()
        }
        for name, pairs in found.items()
    }


def command(run: RunFolder) -> str:
    """What was typed to train it, but for folders of that machine."""
    import yaml

    words = yaml.safe_load((run.path / "overrides.yaml").read_text(encoding="utf-8")) or []
    words = [_anywhere(word) for word in words if not word.startswith("paths.")]
    return shlex.join(["python", "-m", "sr_experiments", *as_typed(words)])


def _anywhere(word: str) -> str:
    """A start as it is called where runs are in ``outputs``."""
    key, _, value = word.partition("=")
    path = Path(value.strip("\"'"))
    if key != "init_from" or not path.is_absolute():
        return word
    run = _folder_of(path) or path
    return f"init_from=outputs/{run.parent.name}/{path.relative_to(run.parent)}"


def _folder_of(start: Path) -> Path | None:
    """The run folder that a start is, or is in: its network, or that of one of its stages."""
    places = (start, start.parent, start.parent.parent)
    return next((place for place in places if (place / "config.yaml").is_file()), None)


def licence(sets: Sequence[str]) -> str:
    """What the licence of training pictures means for the weights."""
    names = list(dict.fromkeys(spec.partition(":")[0] for spec in sets))
    own = [name for name in names if name not in (*RESEARCH, "photos")]
    research = [name for name in names if name in RESEARCH]
    kind = "own" if own else "research" if research else "free"
    return LICENCES[kind].format(sets=", ".join(own or research))


def _finished(run: RunFolder) -> dict[str, Any]:
    summary = run.summary()
    if summary.get("status") != "finished":
        raise UserError(f"run={run.path} is {summary.get('status') or 'no run folder'}: finish it")
    if "model" not in summary or summary.get("scale") is None:
        raise UserError(f"run={run.path} holds no network that enlarges")
    if not (run.path / "model_int8.tflite").is_file():
        raise UserError(f"run={run.path} has no INT8 file: train with quantization=ptq or qat")
    return summary


def fp32_network(run: RunFolder, config: Mapping[str, Any]) -> tuple[SavedModel, bool]:
    """The floating-point network of a run, and whether its INT8 file is of one that trained on.

    Raises:
        UserError: It has none.
    """
    modes = [str(node.get("quantization", {}).get("_target_")) for node in stage_configs(config)]
    if not any(mode.endswith("QuantizationAware") for mode in modes):
        # It is in floating point, whatever it started from.
        saved = read_model(run.path / "model.safetensors")
        return replace(saved, quantized=False, ranges=None), False
    files = [run.path / "model.safetensors", *sorted(run.path.glob("stages/*.safetensors"))[::-1]]
    for file in files:
        saved = read_model(file)
        if not saved.quantized:
            return saved, file != files[0]
    raise UserError(
        f"run={run.path} trained on the INT8 grid from the start and has no FP32 network: give "
        "it a stage before that"
    )


def _train_sets(
    run: RunFolder, config: Mapping[str, Any], starts: Mapping[str, Sequence[str]]
) -> list[str]:
    """Every set that any stage trained on.

    Raises:
        UserError: One of them is scored on, or nobody knows what its start was trained on.
    """
    start = config.get("init_from")
    before = [] if start is None else _sets_before(run, Path(start), starts)
    listed = before + [
        spec for node in stage_configs(config) for spec in node.get("data", {}).get("train", [])
    ]
    tested = [spec for spec in listed if spec.partition(":")[0] in SETS]
    if tested:
        raise UserError(f"run={run.path} has trained on {tested[0]}, which it is scored on")
    return list(dict.fromkeys(listed))


def _sets_before(run: RunFolder, start: Path, starts: Mapping[str, Sequence[str]]) -> list[str]:
    """The sets of what a run started from: a run, a file of one, or a file that is known."""
    folder = _folder_of(start)
    if folder is not None:
        return _train_sets(RunFolder(folder), RunFolder(folder).config(), starts)
    sets = starts.get(_digest(start)) if start.is_file() else None
    if sets is None:
        raise UserError(
            f"run={run.path} started from {start}, which is of no run folder and no entry here: "
            "nobody knows what that was trained on"
        )
    return list(sets)


def _compare(run: RunFolder, summary: Mapping[str, Any], scores: Mapping[str, Any]) -> None:
    """The files must give what the run measured of them."""
    for name, rows in scores.items():
        said = summary.get("test", {}).get(name, {})
        for key in ("fp32", "int8"):
            if key not in said:
                raise UserError(f"run={run.path} was not scored on {name}: its data was not there")
            here, there = rows[key]["psnr_y"], said[key]["psnr_y"]
            if abs(here - there) > TOLERANCE:
                raise UserError(
                    f"run={run.path}: its files give {here:.3f} dB on {name} in {key.upper()}, its "
                    f"summary.json says {there:.3f}: they do not belong together"
                )


def _made_with(run: RunFolder) -> dict[str, Any]:
    told = json.loads((run.path / "environment.json").read_text(encoding="utf-8"))
    kept = ("sr_experiments", "torch", "ai-edge-litert")
    versions = {name: told["versions"][name] for name in kept if name in told["versions"]}
    execution = told.get("execution") or {}
    return {
        **versions,
        "git": told.get("git"),
        "cpu": told.get("cpu", {}).get("model"),
        "device": execution.get("device"),
        "threads": execution.get("threads"),
        "precision": execution.get("precision"),
    }


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
