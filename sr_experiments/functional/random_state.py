"""State of the random generators of torch, for checkpoints that are loaded safely."""

import torch
from torch import Tensor


def get_random_state() -> dict[str, Tensor]:
    """State of torch's generators, one uint8 tensor per device."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state |= {
            f"cuda:{index}": torch.cuda.get_rng_state(index)
            for index in range(torch.cuda.device_count())
        }
    return state


def set_random_state(state: dict[str, Tensor]) -> None:
    """Restore what `get_random_state` returned; devices that are not here are left out."""
    torch.set_rng_state(state["cpu"].cpu())
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            if f"cuda:{index}" in state:
                torch.cuda.set_rng_state(state[f"cuda:{index}"].cpu(), index)
