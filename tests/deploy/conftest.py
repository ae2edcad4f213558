"""Every network of the package, short and trained for a moment on a real photo.

Fresh weights would make pictures near black, whose ranges say nothing about rounding.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage import data
from torch import Tensor, nn

from sr_experiments.functional.resize import downscale
from sr_experiments.models import ABPN, EDSR, ESPCN, FSRCNN, VDSR, XLSR, Bicubic, SRModel
from sr_experiments.models.blocks import ClippedReLU, RepeatChannels


class Odd(SRModel):
    """Everything that no network of ours does: see the comments."""

    def __init__(self) -> None:
        super().__init__(2)
        self.shrink = nn.Conv2d(3, 8, 3, stride=2, padding=1)  # explicit padding
        self.enlarge = nn.ConvTranspose2d(8, 8, 4, 2, 1)
        self.norm = nn.BatchNorm2d(8)  # after depth-to-space: a depthwise convolution
        self.depthwise = nn.Conv2d(8, 16, 3, padding=1, groups=8)  # channel multiplier 2
        self.valid = nn.Conv2d(16, 8, 3, padding=2)  # larger than its input
        self.cut = nn.Conv2d(8, 8, 3, padding=0)
        self.relu6 = nn.ReLU6()
        self.band = nn.Hardtanh(-0.5, 0.75)
        self.grouped = nn.Conv2d(8, 12, 1, groups=4)  # cannot take a new order of channels
        self.repeat = RepeatChannels(4)
        self.learned = ClippedReLU(0.9, learned=True)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, low_res: Tensor) -> Tensor:
        x = self.norm(self.enlarge(self.shrink(low_res)))
        x = self.cut(self.valid(self.relu6(self.depthwise(x) * 2 + 0.25)))
        x = self.grouped(self.band(x))
        y = self.shuffle(self.learned(x)) + self.shuffle(self.repeat(low_res - 0.5))
        return torch.cat([y.clamp(-0.25, 1.5)], dim=1)


class ConcatInput(SRModel):
    """The picture beside features of another range, as in SCSRN (NETWORKS 4.1)."""

    def __init__(self) -> None:
        super().__init__(3, clip_output=True)
        self.head = nn.Conv2d(3, 16, 3, padding=1)
        self.tail = nn.Conv2d(19, 27, 3, padding=1)
        self.shuffle = nn.PixelShuffle(3)

    def forward(self, low_res: Tensor) -> Tensor:
        features = self.head(low_res).relu() * 4
        return self.clip(self.shuffle(self.tail(torch.cat([features, low_res], 1))))


class Clips(SRModel):
    """Clips that INT8 cannot leave to saturation: see the comments."""

    def __init__(self) -> None:
        super().__init__(2)
        self.head = nn.Conv2d(3, 8, 3, padding=1)
        self.act = nn.PReLU(8)
        self.wide = nn.Conv2d(3, 8, 3, padding=1)
        self.tail = nn.Conv2d(24, 12, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, low_res: Tensor) -> Tensor:
        x = self.act(self.head(low_res))
        # One scale for all that is concatenated, far beyond what the clips let through.
        fused = self.wide(low_res).clamp(0.0, 0.1)
        x = torch.cat([x.clamp(-0.05, 0.2), fused, x * 3 + 1], 1)
        y: Tensor = self.shuffle(self.tail(x.relu()))
        return y


BUILDERS: dict[str, Callable[[], SRModel]] = {
    "xlsr": XLSR,
    "xlsr_linear": lambda: XLSR(clip_output=False),
    "xlsr_depthwise": lambda: XLSR(depthwise=True, clip_hidden="learned"),
    "espcn": lambda: ESPCN(scale=2),
    "espcn_clipped": lambda: ESPCN(clip_output=True, clip_hidden=0.8),
    "fsrcnn": FSRCNN,
    "fsrcnn_x2": lambda: FSRCNN(scale=2, clip_output=True),
    "abpn": lambda: ABPN(num_blocks=2),
    "vdsr": lambda: VDSR(channels=16, num_blocks=2, clip_output=True),
    "edsr_x4": lambda: EDSR(scale=4, channels=16, num_blocks=2, res_scale=0.1),
    "bicubic": Bicubic,
    "concat_input": ConcatInput,
    "clips": Clips,
}


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """For pictures this small a second thread costs more than it gives."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "network_name" in metafunc.fixturenames:
        metafunc.parametrize("network_name", list(BUILDERS))


@pytest.fixture
def model(network_name: str) -> SRModel:
    """One after the other of all networks; not to be changed."""
    return trained(network_name)


@pytest.fixture
def network() -> Callable[[str], SRModel]:
    """Any of the networks by its name."""
    return trained


@pytest.fixture
def odd() -> SRModel:
    """Untrained, in its own running statistics."""
    torch.manual_seed(5)
    model = Odd()
    for _ in range(3):
        model(torch.rand(4, 3, 16, 16))
    return model.eval()


@pytest.fixture
def xlsr() -> SRModel:
    """The network of the main job; not to be changed."""
    return trained("xlsr")


@pytest.fixture(scope="session")
def low_res() -> NDArray[np.uint8]:
    """A photo that nothing was trained on, ``(60, 84, 3)``."""
    high_res = torch.from_numpy(data.coffee()[40:220, 200:452].copy()).permute(2, 0, 1)
    return np.ascontiguousarray(downscale(high_res, 3).permute(1, 2, 0).numpy())


@pytest.fixture(scope="session")
def calibration() -> Tensor:
    """Crops of the photo that was trained on."""
    return torch.cat([batch(seed, 3, 4)[0] for seed in range(2)])


@cache
def trained(name: str) -> SRModel:
    torch.manual_seed(0)
    model = BUILDERS[name]()
    if model.trainable:
        optimiser = torch.optim.Adam(model.parameters(), 1e-3)
        for step in range(30):
            low_res, high_res = batch(step, model.scale, 2)
            optimiser.zero_grad()
            nn.functional.l1_loss(model(low_res), high_res).backward()
            optimiser.step()
    return model.eval()


def batch(seed: int, scale: int, count: int) -> tuple[Tensor, Tensor]:
    photo: Any = data.chelsea()
    random = np.random.default_rng(seed)
    side = 24 * scale
    crops = []
    for _ in range(count):
        top, left = random.integers(0, 300 - side), random.integers(0, 451 - side)
        crops.append(photo[top : top + side, left : left + side])
    high_res = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2)
    return downscale(high_res, scale) / 255, high_res / 255
