"""Every kernel that ships stays within its band, after each step and in the average."""

from collections.abc import Callable

import lightning.pytorch as pl
import pytest
import torch
from torch import nn

from sr_experiments.callbacks import WeightClip
from sr_experiments.data import SRData
from sr_experiments.errors import UserError
from sr_experiments.losses import L1
from sr_experiments.models import (
    ABPN,
    FSRCNN,
    KLN,
    RPQ,
    SCSRN,
    XCAT,
    XLSR,
    SRModel,
    collapse,
)
from sr_experiments.models.kernels import trained_kernels
from sr_experiments.optim import Constant
from sr_experiments.quantization import QuantizationAware
from sr_experiments.tasks import RegressionTask

# Lightning 2.6 asks torch's pytree in a way that torch 2.15 deprecates.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning"),
    # The average of the weights is in evaluation mode on purpose.
    pytest.mark.filterwarnings("ignore:.*in eval mode at the start of training.*"),
]


@pytest.fixture
def data(tmp_path_factory: pytest.TempPathFactory) -> SRData:
    cache = tmp_path_factory.getbasetemp() / "cache"
    return SRData(
        ["photos:train"], ["photos:val"], [], 3, batch_size=2, steps_per_epoch=2, cache_dir=cache
    )


def train(network: SRModel, data: SRData, clip: WeightClip | None, **options: object) -> None:
    torch.manual_seed(0)
    task = RegressionTask(network, L1(), data, torch.optim.Adam, Constant, total_steps=2, **options)
    pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        limit_val_batches=0,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        callbacks=[] if clip is None else [clip],
    ).fit(task)
    if task.average is not None:
        network.load_state_dict(task.average.module.state_dict())


def largest(network: SRModel) -> list[float]:
    """Largest absolute weight of every convolution of the folded network."""
    convs = [layer for layer in collapse(network).modules() if isinstance(layer, nn.Conv2d)]
    return [float(conv.weight.detach().abs().max()) for conv in convs]


def twins(network: Callable[..., SRModel], **options: object) -> tuple[SRModel, SRModel]:
    torch.manual_seed(0)
    first, second = network(**options), network(**options)
    second.load_state_dict(first.state_dict())
    return first, second


@pytest.mark.parametrize(
    ("network", "options"),
    [
        (ABPN, {"channels": 8, "num_blocks": 1}),
        (ABPN, {"channels": 8, "num_blocks": 1, "block": "ecb", "end_block": "dbb"}),
        (RPQ, {"channels": 8, "num_blocks": 1}),
        (XLSR, {}),
    ],
)
def test_kernels_of_a_training_network_reach_the_band_and_not_beyond(
    network: Callable[..., SRModel], options: dict[str, object], data: SRData
) -> None:
    free, held = twins(network, **options)
    train(free, data, None)
    train(held, data, WeightClip("absolute", 0.05))
    assert max(largest(free)) > 0.1
    assert max(largest(held)) == pytest.approx(0.05, rel=1e-4)


def test_the_average_is_made_of_clipped_weights(data: SRData) -> None:
    network = ABPN(channels=8, num_blocks=1)
    # An average that forgets at once is the network after the step, and after the clip.
    train(network, data, WeightClip("absolute", 0.05), ema_decay=1e-9)
    assert max(largest(network)) == pytest.approx(0.05)


def clipped(weight: list[float], clip: WeightClip) -> list[float]:
    network = nn.Conv2d(len(weight), 1, 1)
    network.weight.data = torch.tensor(weight).view(1, -1, 1, 1)
    clip.kernels = trained_kernels(network)
    clip.on_train_batch_end(None, None, None, None, 0)  # type: ignore[arg-type]
    return network.weight.flatten().tolist()


def test_the_three_bands_by_hand() -> None:
    weight = [-1.0, 1.0, 1.0, 1.0, 6.0]  # mean square 8
    assert clipped(weight, WeightClip("absolute", 2.0)) == [-1, 1, 1, 1, 2]
    assert clipped(weight, WeightClip("deviations", 2.0)) == pytest.approx([-1, 1, 1, 1, 32**0.5])
    assert clipped(weight, WeightClip("symmetric", 1.0)) == [-1, 1, 1, 1, 1]
    assert clipped(weight, WeightClip("symmetric", 3.0)) == [-1, 1, 1, 1, 3]
    assert clipped([1.0, 2.0], WeightClip("symmetric", 1.0)) == [1, 2]


@pytest.mark.parametrize(
    "network", [FSRCNN(), KLN(), SCSRN(), XCAT()], ids=lambda network: type(network).__name__
)
def test_any_network_can_be_clipped(network: SRModel) -> None:
    before = {kernel.name: kernel.read().detach().clone() for kernel in trained_kernels(network)}
    clip = WeightClip("deviations", 1.0)
    clip.kernels = trained_kernels(network)
    clip.on_train_batch_end(None, None, None, None, 0)  # type: ignore[arg-type]
    for kernel in trained_kernels(network):
        old = before[kernel.name]
        limit = float(old.square().mean().sqrt())
        assert torch.allclose(kernel.read(), old.clamp(-limit, limit), atol=1e-5), kernel.name
        assert not torch.allclose(kernel.read(), old, atol=1e-5), kernel.name


def test_a_twin_is_clipped_as_often_as_the_network(data: SRData) -> None:
    network = ABPN(channels=8, num_blocks=1)
    clip = WeightClip()
    train(network, data, clip, quantization=QuantizationAware(reference="twin"))
    assert len(clip.kernels) == 2 * len(trained_kernels(network))


def test_mistakes_are_refused_by_key() -> None:
    with pytest.raises(UserError, match=r"callbacks\.weight_clip\.band=wide .*deviations"):
        WeightClip("wide")  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"callbacks\.weight_clip\.bound=0"):
        WeightClip(bound=0)
