"""Perceptual distances of pictures beside bicubic's, and a word where weights are missing."""

from pathlib import Path

import pytest
import torch
from rich.console import Console
from skimage import data
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.functional.resize import downscale, upscale
from sr_experiments.losses import L1
from sr_experiments.reporting.looking import compare, metrics, print_looks


def cat() -> tuple[str, Tensor, Tensor]:
    high_res = torch.from_numpy(data.chelsea()[60:156, 120:216].copy()).permute(2, 0, 1)
    return "cat", downscale(high_res, 2), high_res


class Nowhere(nn.Module):
    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        raise UserError("there is no such file")


def test_means_are_of_pictures_without_their_border() -> None:
    name, low_res, high_res = cat()
    looks = compare(
        {"cats": [(name, low_res, high_res)]}, {"own": lambda _: high_res}, 2, {"l1": L1()}
    )
    inside = (..., slice(2, -2), slice(2, -2))
    bicubic = upscale(low_res, 2)[inside].float() - high_res[inside].float()
    assert looks.scores["cats"]["own"] == {"l1": 0}
    assert looks.scores["cats"]["bicubic"]["l1"] == pytest.approx(bicubic.abs().mean().item() / 255)


def test_what_cannot_be_measured_is_said_with_the_reason() -> None:
    looks = compare({"cats": [cat()]}, {}, 2, {"lpips": Nowhere(), "dists": Nowhere(), "l1": L1()})
    console = Console(width=80, record=True, quiet=False, file=None)
    with console.capture() as capture:
        print_looks(looks, console)
    text = capture.get()
    assert "not measured" in text
    assert "lpips, dists: not measured, there is no such file" in text  # a reason is said once
    assert "weights_dir=<folder>" in text
    assert "l1" in text
    assert "…" not in text


def test_weights_are_looked_for_by_the_beginning_of_their_name(tmp_path: Path) -> None:
    (tmp_path / "alexnet-owt.pth").touch()
    found = metrics(str(tmp_path), halves=True)
    assert found["lpips"].features.weights == str(tmp_path / "alexnet-owt.pth")
    with pytest.raises(UserError, match="there is no such file"):
        found["dists"](torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64))
    with pytest.raises(UserError, match="weights_dir=nowhere"):
        metrics("nowhere", halves=False)
