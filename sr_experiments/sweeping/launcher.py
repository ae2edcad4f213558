"""What ``hydra/launcher=batched`` is told; the launcher is in ``hydra_plugins``."""

from omegaconf import DictConfig

from sr_experiments.errors import UserError

TARGET = "hydra_plugins.batched_runs.BatchedLauncher"


def demanded(config: DictConfig) -> bool:
    """Whether all jobs of a sweep are to train as one batched network, or none.

    Args:
        config: What they share, with its ``hydra`` node.

    Raises:
        UserError: An option of the launcher is wrong.
    """
    launcher = config.hydra.launcher
    if launcher.get("_target_") != TARGET:
        return False
    runs, strict = launcher.runs, launcher.strict
    if runs is not None and (not isinstance(runs, int) or runs < 2):
        raise UserError(f"hydra.launcher.runs={runs} is not a whole number from 2, or null")
    if not isinstance(strict, bool):
        raise UserError(f"hydra.launcher.strict={strict} is neither true nor false")
    return strict
