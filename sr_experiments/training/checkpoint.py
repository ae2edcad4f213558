"""Reading the checkpoints of a run folder: tensors and plain values, never code."""

from pathlib import Path
from typing import Any

import torch

from sr_experiments.callbacks.checkpoints import SCHEMA_VERSION
from sr_experiments.errors import UserError


def read_checkpoint(path: Path, *, mmap: bool = False) -> dict[str, Any]:
    """Content of a ``.ckpt`` file, on the CPU.

    Args:
        path: The file.
        mmap: Leave the tensors on disk until they are asked for.

    Raises:
        UserError: It is damaged, names code, or is of a newer version of this package.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
        version = int(state.get("schema_version", 1))  # the first version did not write it
        stage, weights = int(state["stage"]), dict(state["state_dict"])
    except Exception as error:  # torch, zip and pickle raise a dozen kinds
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(
            f"{path} is damaged, or no checkpoint of this package ({reason}); move it away to "
            "train without it"
        ) from error
    if version > SCHEMA_VERSION:
        raise UserError(
            f"{path} is of a newer sr_experiments: its schema_version is {version}, this one reads "
            f"up to {SCHEMA_VERSION}; update the package"
        )
    return {**state, "stage": stage, "state_dict": weights}
