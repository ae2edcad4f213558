"""Options that several verbs share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sr_experiments.errors import UserError

DATA_DIR = "${oc.env:SR_DATA_DIR,data}"
CACHE_DIR = "${oc.env:SR_CACHE_DIR,null}"


@dataclass
class SourceOptions:
    """Which network.

    Attributes:
        run: Run folder.
        file: A ``.tflite``, ``.onnx`` or ``model.safetensors`` file.
        pretrained: A network that the package brings trained.
        model: A network of ``conf/model`` that needs no training.
        scale: Enlargement of ``pretrained`` or ``model``.
    """

    run: str | None = None
    file: str | None = None
    pretrained: str | None = None
    model: str | None = None
    scale: int | None = None


@dataclass
class RuntimeOptions(SourceOptions):
    """Which network, and what runs it.

    Attributes:
        runtime: ``int8``, ``fp32``, ``torch`` or ``onnx``; None lets the verb choose.
        threads: CPU threads; None: every usable core.
        device: Where torch computes.
    """

    runtime: str | None = None
    threads: int | None = None
    device: str = "cpu"


@dataclass
class DataOptions:
    """Where images are.

    Attributes:
        root: What the set ``folder`` means.
        data_dir: The user's data folder.
        cache_dir: Downloads and packed sets; None: the user's cache folder.
    """

    root: str | None = None
    data_dir: str | None = DATA_DIR
    cache_dir: str | None = CACHE_DIR


def set_list(data: Any) -> list[str] | None:
    """The value of ``data=`` as a list without repetitions; None when it was not given.

    Raises:
        UserError: It is neither a set nor a list of sets.
    """
    if data is None:
        return None
    specs = [data] if isinstance(data, str) else data
    if not isinstance(specs, list) or not all(isinstance(spec, str) for spec in specs):
        raise UserError(f"data={data} is not a set or a list of sets, such as [set5,set14]")
    return list(dict.fromkeys(specs))


def name_list(key: str, value: Any) -> list[str]:
    """The value of ``run=`` or ``file=`` as a list without repetitions; empty when not given.

    Raises:
        UserError: It is neither a name nor a list of names.
    """
    names = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{key}={value} is not a path or a list of paths, such as [a,b]")
    return list(dict.fromkeys(names))


def result_file(output: str | None, suffixes: tuple[str, ...], *, overwrite: bool) -> Path | None:
    """The value of ``output=``, refused before anything is measured where it cannot be written.

    Args:
        output: As given; None writes nothing.
        suffixes: Formats that the verb writes.
        overwrite: Replace the file when it is there.

    Raises:
        UserError: Its suffix is unknown, its folder is a file, or it is there already.
    """
    if output is None:
        return None
    path = Path(output).expanduser()
    if path.suffix.lower() not in suffixes:
        raise UserError(f"output={path}: use a name that ends in {' or '.join(suffixes)}")
    if path.exists() and not overwrite:
        raise UserError(f"output={path} is there already; add overwrite=true to replace it")
    if any(parent.is_file() for parent in path.parents):
        raise UserError(f"output={path}: {path.parent} is no folder; name one")
    return path
