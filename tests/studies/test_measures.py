import colorsys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.stats import spearmanr
from skimage import color, data, feature
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.studies.measures import (
    LPIPS,
    Edges,
    FeatureDistance,
    Intensity,
    MeanColour,
    Shuffled,
    in_order,
    measured,
    name_of,
)


@pytest.fixture(scope="module")
def crops() -> Tensor:
    """(96, 3, 32, 32) uint8 of photos: half of them half as large, as CIFAR's pictures are."""
    found = []
    for photo in (data.astronaut(), data.coffee(), data.chelsea()):
        for step in (1, 2):
            small = torch.from_numpy(photo[::step, ::step].copy()).permute(2, 0, 1)
            tiles = small.unfold(1, 32, 32).unfold(2, 32, 32).flatten(1, 2).transpose(0, 1)
            found.append(tiles[:: max(1, len(tiles) // 16)][:16])
    return torch.cat(found).contiguous()


def test_intensity_is_the_plain_sum_of_all_levels(crops: Tensor) -> None:
    wanted = [int(np.sum(crop.numpy(), dtype=np.int64)) for crop in crops]
    assert Intensity()(crops).tolist() == wanted


def test_mean_colour_is_what_the_standard_library_makes_of_it(crops: Tensor) -> None:
    wanted = [
        colorsys.rgb_to_hsv(*(float(value) for value in crop.numpy().mean((1, 2)) / 255))
        for crop in crops
    ]
    torch.testing.assert_close(
        MeanColour()(crops), torch.tensor(wanted, dtype=torch.float64), atol=1e-6, rtol=0
    )


def test_hue_decides_before_saturation_and_value() -> None:
    order = in_order(torch.tensor([[0.5, 0.1, 0.9], [0.2, 0.9, 0.9], [0.5, 0.1, 0.2]]))
    assert order.tolist() == [1, 2, 0]


def test_edges_agree_with_scikit_image_on_which_pictures_have_many(crops: Tensor) -> None:
    # Both leave their Sobel unscaled, so the thresholds mean the same; borders differ.
    wanted = [
        feature.canny(color.rgb2gray(crop.permute(1, 2, 0).numpy()), 1.0, 0.1, 0.2).sum()
        for crop in crops
    ]
    assert spearmanr(Edges()(crops).numpy(), wanted).statistic > 0.9


def plain_canny(picture: np.ndarray, low: float, high: float) -> np.ndarray:
    """Canny's steps one by one with SciPy: (3, H, W) levels to (H, W) bool."""
    grey = np.tensordot([0.299, 0.587, 0.114], picture / 255, 1)
    taps = np.exp(-(np.arange(-2, 3) ** 2) / 2)
    for axis in (0, 1):
        grey = ndimage.correlate1d(grey, taps / taps.sum(), axis, mode="mirror")
    dx, dy = (ndimage.sobel(grey, axis, mode="nearest") for axis in (1, 0))
    size = np.sqrt(dx**2 + dy**2 + 1e-6)
    turn = np.round(np.degrees(np.arctan2(dy, dx)) / 45).astype(int) % 4
    height, width = size.shape
    around = np.pad(size, 1)
    ridge = np.zeros(size.shape, dtype=bool)
    for direction, (down, right) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        sides = [around[1 + sign * down :, 1 + sign * right :][:height, :width] for sign in (1, -1)]
        ridge |= (turn == direction) & (size > np.maximum(*sides))
    weak, strong = ridge & (size > low), ridge & (size > high)
    labels, _ = ndimage.label(weak, np.ones((3, 3)))
    return weak & np.isin(labels, np.unique(labels[strong]))


def test_edges_are_those_of_cannys_steps_done_one_by_one(crops: Tensor) -> None:
    for low, high in ((0.1, 0.2), (0.3, 0.8)):
        wanted = [int(plain_canny(crop.double().numpy(), low, high).sum()) for crop in crops]
        gaps = (Edges(low, high)(crops) / 255 - torch.tensor(wanted)).abs()
        # Neighbours that are equal in single precision need not be in double.
        assert int((gaps > 0).sum()) <= 2
        assert gaps.max() <= 4


def test_a_flat_picture_has_no_edges_and_a_square_has_those_around_it() -> None:
    pictures = torch.zeros(2, 3, 32, 32, dtype=torch.uint8)
    pictures[1, :, 8:24, 8:24] = 255
    flat, square = (Edges()(pictures) / 255).tolist()
    assert flat == 0
    assert 40 <= square <= 80  # its outline has 60 pixels


@pytest.fixture(autouse=True, scope="module")
def _undrawn() -> Iterator[None]:
    """AlexNet's dense layers, which no measure uses, take seconds to draw."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nn.Linear, "reset_parameters", lambda layer: None)
        yield


@pytest.fixture(scope="module")
def alexnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from torchvision.models import alexnet

    torch.manual_seed(0)
    network = alexnet()
    state = {key: value for key, value in network.state_dict().items() if "features" in key}
    file = tmp_path_factory.mktemp("alexnet") / "alexnet.pth"
    torch.save(state, file)
    return file


def test_lpips_is_that_of_torchmetrics(crops: Tensor, alexnet: Path) -> None:
    from torchmetrics.functional.image.lpips import _LPIPS

    theirs = _LPIPS(net="alex", pnet_rand=True)
    state = torch.load(alexnet, weights_only=True)
    theirs.net.load_state_dict(
        {key: state[f"features.{key.partition('.')[2]}"] for key in theirs.net.state_dict()}
    )
    mean = (crops.double().mean(0) / 255).float()
    with torch.no_grad():
        wanted = theirs(
            crops.float() / 255, mean[None].expand(len(crops), -1, -1, -1), normalize=True
        )
    ours = measured(LPIPS(str(alexnet)), crops, None)
    torch.testing.assert_close(ours[:, 0].float(), wanted.flatten(), atol=1e-5, rtol=1e-4)
    assert wanted.std() > 0


def test_a_feature_distance_weighs_all_channels_alike(crops: Tensor, alexnet: Path) -> None:
    from torchvision.models import alexnet as make

    state = torch.load(alexnet, weights_only=True)
    first = make().features[:2]
    first[0].load_state_dict({key: state[f"features.0.{key}"] for key in ("weight", "bias")})
    first[1] = nn.ReLU()
    measure = FeatureDistance(
        "torchvision/alexnet", ["features.1"], str(alexnet), [0.5] * 3, [0.5] * 3
    )
    assert "substitute" in measure.title
    with torch.no_grad():
        seen = first(crops.float() / 127.5 - 1).numpy()
        mean = first(crops.double().mean(0, keepdim=True).float() / 127.5 - 1).numpy()
    seen = seen / (np.linalg.norm(seen, axis=1, keepdims=True) + 1e-8)
    mean = mean / (np.linalg.norm(mean, axis=1, keepdims=True) + 1e-8)
    wanted = ((seen - mean) ** 2).sum(1).mean((1, 2))
    np.testing.assert_allclose(measured(measure, crops, None)[:, 0], wanted, rtol=1e-3)


def test_weights_that_cannot_be_had_are_the_users_to_mend(crops: Tensor) -> None:
    with pytest.raises(UserError, match=r"none\.pth: there is no such file"):
        measured(LPIPS("none.pth"), crops, None)


class Counting(Intensity):
    def __init__(self, option: int = 1) -> None:
        self.option = option
        self._calls = 0

    def __call__(self, pictures: Tensor) -> Tensor:
        self._calls += 1
        return super().__call__(pictures)


def test_values_are_kept_for_the_same_pictures_and_options(crops: Tensor, tmp_path: Path) -> None:
    first, again, other = Counting(), Counting(), Counting(2)
    kept = measured(first, crops, tmp_path)
    assert torch.equal(measured(again, crops, tmp_path), kept)
    measured(other, crops, tmp_path)
    measured(again, crops.flip(0), tmp_path)
    assert (first._calls, again._calls, other._calls) == (1, 1, 1)


def test_a_damaged_cache_is_measured_again(crops: Tensor, tmp_path: Path) -> None:
    kept = measured(Intensity(), crops, tmp_path)
    (file,) = (tmp_path / "measures").glob("*.safetensors")
    file.write_bytes(b"half")
    assert torch.equal(measured(Intensity(), crops, tmp_path), kept)


def test_a_function_is_called_by_its_own_name_on_the_page() -> None:
    assert name_of(partial(plain_canny)) == name_of(plain_canny) == "plain_canny"
    assert name_of(Edges()) == "Edges"


def test_any_function_of_pictures_is_a_metric(crops: Tensor) -> None:
    values = measured(lambda pictures: pictures[:, 0].float().amax((1, 2)), crops, None)
    assert values[:, 0].tolist() == [float(crop[0].max()) for crop in crops]


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (lambda pictures: 1.0, "a number, or several"),
        (lambda pictures: pictures.float().mean(), "a number, or several"),
        (lambda pictures: pictures.float().mean((1, 2, 3)) / 0, "not finite"),
        (lambda pictures: pictures[:, 5], r"task\.metric: index 5"),
    ],
)
def test_a_metric_that_is_none_is_refused(crops: Tensor, metric: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        measured(metric, crops, None)  # type: ignore[arg-type]


def test_the_control_depends_on_its_seed_alone(crops: Tensor) -> None:
    first, second = (measured(Shuffled(seed=1), part, None) for part in (crops, crops.flip(0)))
    assert torch.equal(first, second)
    assert not torch.equal(first, measured(Shuffled(seed=2), crops, None))


def test_thresholds_out_of_order_are_refused() -> None:
    with pytest.raises(UserError, match=r"metric\.low=0\.3"):
        Edges(low=0.3, high=0.2)
