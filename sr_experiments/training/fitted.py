"""A stage whose network is fitted: what plays no part in it, and what it cannot give."""

from functools import lru_cache

from omegaconf import DictConfig, OmegaConf

from sr_experiments.configuration.compose import compose
from sr_experiments.configuration.stages import Stage
from sr_experiments.data import SRData
from sr_experiments.errors import UserError
from sr_experiments.models.fitted import FittedModel
from sr_experiments.tasks import FitTask

# They speak of gradient steps.
UNUSED = ("loss", "optimizer", "scheduler", "task", "init_from", "pretrained")
NONE = "none"


def fit_task(stage: Stage, network: FittedModel, data: SRData) -> tuple[FitTask, str]:
    """The task of such a stage, and what to tell its user.

    Args:
        stage: Which.
        network: To be fitted.
        data: Its photos.

    Raises:
        UserError: Something is set that has no effect on a fit, or that it cannot give.
    """
    name = stage.choices["model"]
    if not stage.single:
        raise UserError(f"model={name} is fitted in one go: leave stages out")
    if stage.choices["quantization"] != NONE and _differs(stage.config, "quantization"):
        raise UserError(
            f"model={name} cannot be quantised: {network.reason}\n  add quantization=none"
        )
    for key in UNUSED:
        if _differs(stage.config, key):
            raise UserError(
                f"model={name} is fitted, not trained: {key} has no effect on it, leave it out"
            )
    task = FitTask(network, data, seed=stage.config.seed, share=stage.config.budget)
    return task, f"model={name} is fitted and gets no TFLite file, FP32 or INT8: {network.reason}"


def _differs(config: DictConfig, key: str) -> bool:
    """Whether a group or key is not what it is without a word typed."""
    here, usual = (OmegaConf.select(root, key) for root in (config, _defaults()))
    if OmegaConf.is_config(here) and OmegaConf.is_config(usual):
        return bool(OmegaConf.to_container(here) != OmegaConf.to_container(usual))
    return bool(here != usual)


@lru_cache(maxsize=1)
def _defaults() -> DictConfig:
    return compose([])
