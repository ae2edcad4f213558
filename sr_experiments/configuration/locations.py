"""Where ``conf/`` and ``sweeps/`` are: beside the package in a clone, inside it in a wheel."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
OF_WANDB = "wandb/"  # sweep files that W&B reads, not Hydra
WITHIN = ("task/regularizers",)  # groups inside a group


def config_root() -> Path:
    """Folder that holds ``conf/`` and ``sweeps/``.

    Raises:
        FileNotFoundError: The installation is incomplete.
    """
    for root in (PACKAGE, PACKAGE.parent):
        if (root / "conf" / "config.yaml").is_file():
            return root
    raise FileNotFoundError(
        f"conf/config.yaml is neither in {PACKAGE} nor beside it; reinstall sr_experiments"
    )


def config_dir() -> Path:
    """Folder of the configuration groups."""
    return config_root() / "conf"


def sweep_dir() -> Path:
    """Folder of the sweep files."""
    return config_root() / "sweeps"


def options(folder: Path) -> list[str]:
    """Names of the YAML files below ``folder``, without suffix, ``/`` between folders.

    Folders called ``base`` hold shared parts, and those of ``WITHIN`` other groups' options.
    """
    names = (path.relative_to(folder).with_suffix("") for path in folder.rglob("*.yaml"))
    others = {group.rpartition("/")[2] for group in WITHIN if folder.name in group.split("/")[:-1]}
    return sorted(name.as_posix() for name in names if not {"base", *others} & {*name.parts[:-1]})


def groups() -> dict[str, list[str]]:
    """Every configuration group with its options, sorted; sweeps included."""
    found = {path.name: options(path) for path in sorted(config_dir().iterdir()) if path.is_dir()}
    found |= {group: options(config_dir() / group) for group in WITHIN}
    sweeps = [name for name in options(sweep_dir()) if not name.startswith(OF_WANDB)]
    return {**found, "sweep": sweeps}
