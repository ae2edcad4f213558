import torch
from torch import Tensor, nn

from sr_experiments.models import EDSR, SRModel, collapse, count_parameters
from sr_experiments.models.blocks import ScaledConv2d


class Normed(SRModel):
    """Batch norms in every position: foldable, behind a shared convolution, behind an addition."""

    def __init__(self) -> None:
        super().__init__(2)
        self.norm = nn.BatchNorm2d(12)  # defined before the convolution that it follows
        self.conv = nn.Conv2d(3, 12, 3, padding=1, bias=False)
        self.branch = nn.Conv2d(12, 12, 1)
        self.branch_norm = nn.BatchNorm2d(12)
        self.last_norm = nn.BatchNorm2d(12)
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, low_res: Tensor) -> Tensor:
        x = self.norm(self.conv(low_res))
        y = self.branch(x)
        z = self.branch_norm(y) + y
        prediction: Tensor = self.shuffle(self.last_norm(z))
        return prediction


def trained_norms(model: nn.Module) -> None:
    """Statistics and gains as training would leave them."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.1, 3)
            nn.init.uniform_(module.weight, -1, 1)
            nn.init.uniform_(module.bias, -1, 1)


def test_batch_norm_is_folded_where_the_wiring_allows_and_the_picture_stays() -> None:
    torch.manual_seed(0)
    model = Normed().double()
    trained_norms(model)
    twin = collapse(model)
    left = [name for name, module in twin.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert left == ["branch_norm", "last_norm"]
    low_res = torch.rand(2, 3, 7, 9, dtype=torch.float64)
    assert torch.allclose(twin(low_res), model.eval()(low_res), rtol=0, atol=1e-12)


def test_a_convolution_used_twice_keeps_its_norm() -> None:
    class Twice(SRModel):
        def __init__(self) -> None:
            super().__init__(2)
            self.conv = nn.Conv2d(3, 3, 1)
            self.norm = nn.BatchNorm2d(3)
            self.last = nn.Sequential(nn.Conv2d(3, 12, 1), nn.PixelShuffle(2))

        def forward(self, low_res: Tensor) -> Tensor:
            prediction: Tensor = self.last(self.conv(self.norm(self.conv(low_res))))
            return prediction

    torch.manual_seed(0)
    model = Twice().double()
    trained_norms(model)
    low_res = torch.rand(1, 3, 5, 5, dtype=torch.float64)
    assert torch.equal(collapse(model)(low_res), model.eval()(low_res))


def test_residual_scaling_is_folded_into_the_convolution() -> None:
    torch.manual_seed(0)
    model = EDSR(channels=8, num_blocks=2, res_scale=0.1).double()
    twin = collapse(model)
    assert not any(isinstance(module, ScaledConv2d) for module in twin.modules())
    assert count_parameters(twin) == count_parameters(model)
    low_res = torch.rand(1, 3, 9, 7, dtype=torch.float64)
    assert torch.allclose(twin(low_res), model(low_res), rtol=0, atol=1e-12)


def test_folded_kernel_of_a_block_passes_gradients_to_its_parameters() -> None:
    block = ScaledConv2d(2, 3, factor=0.25)
    weight, bias = block.folded()
    (weight.sum() + bias.sum()).backward()
    assert block.conv.weight.grad is not None
    assert block.conv.bias is not None
    assert block.conv.bias.grad is not None
    assert torch.equal(block.conv.weight.grad, torch.full((2, 2, 3, 3), 0.25))
    assert torch.equal(block.conv.bias.grad, torch.full((2,), 0.25))


def test_the_model_itself_is_left_as_it_was() -> None:
    model = EDSR(channels=8, num_blocks=1, res_scale=0.1).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    twin = collapse(model)
    nn.init.zeros_(twin.head.weight)
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert model.training
    assert not twin.training
    assert (model.collapsed, twin.collapsed) == (False, True)
