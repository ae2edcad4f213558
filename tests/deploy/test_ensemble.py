"""Self-ensemble treats all orientations alike."""

import torch
from skimage.data import coffee

from sr_experiments.deploy.ensemble import predict_ensemble
from sr_experiments.deploy.runtimes import TorchRuntime
from sr_experiments.deploy.scoring import predict_image
from sr_experiments.models import XLSR, Bicubic

PHOTO = torch.from_numpy(coffee()[100:140, 200:260]).permute(2, 0, 1).contiguous()


def network() -> TorchRuntime:
    torch.manual_seed(3)
    return TorchRuntime(XLSR(scale=2).eval())


def test_the_ensemble_of_a_turned_photo_is_the_turned_ensemble() -> None:
    runtime = network()
    upright = predict_ensemble(runtime, PHOTO)
    for turn in (lambda x: x.rot90(1, (-2, -1)), lambda x: x.flip(-1), lambda x: x.flip(-2)):
        assert torch.equal(predict_ensemble(runtime, turn(PHOTO).contiguous()), turn(upright))


def test_a_network_alone_is_not_symmetric_so_the_ensemble_changes_its_picture() -> None:
    runtime = network()
    assert not torch.equal(predict_ensemble(runtime, PHOTO), predict_image(runtime, PHOTO))


def test_the_ensemble_of_a_symmetric_network_is_its_own_picture() -> None:
    runtime = TorchRuntime(Bicubic(scale=3))
    difference = predict_ensemble(runtime, PHOTO).int() - predict_image(runtime, PHOTO).int()
    # Sums in another order may round the other way at exactly one half.
    assert difference.abs().max() <= 1
    assert (difference != 0).float().mean() < 0.001
