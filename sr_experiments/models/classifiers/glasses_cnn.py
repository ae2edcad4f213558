"""The plain network of "glasses or no glasses" (Schiavone, 2021): convolve, pool, normalise.

Every block is a convolution with ReLU, a pooling that halves the picture, and batch
normalisation, in this order; a dense layer with dropout and one sigmoid neuron decide. Dropout
is what the paper calls essential: without it the validation accuracy stops early.

The paper gives neither the number of layers nor their widths, kernel, pooling, dense size,
dropout or learning rate, and its author's code is not public. The defaults (3 blocks of 32, 64
and 128 filters, 3x3, maximum, 128 neurons, dropout 0.5: 356,097 parameters at 32x32) are ours;
its random search went over such choices, so all of them are options. Weights start as Keras
starts them (Glorot, biases at zero), the paper's framework; batch norm's running averages follow
as torch has it (momentum 0.1), because Keras's 0.99 needs more steps than small sets give.
"""

from collections.abc import Sequence
from typing import Literal, get_args

from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.models.classifiers.base import Classifier

__all__ = ["GlassesCNN"]

Pooling = Literal["max", "average"]


class GlassesCNN(Classifier):
    """Blocks of convolution, pooling and batch norm, then a dense layer.

    Args:
        classes: See `Classifier`.
        size: See `Classifier`; each block halves it.
        num_blocks: Blocks.
        channels: Filters of the first block, doubled in each that follows; or one number for
            each block.
        kernel: Height and width of the convolutions, odd.
        pooling: ``max`` or ``average``.
        batch_norm: Normalise after each pooling.
        dense: Neurons of the hidden dense layer; 0 leaves it out.
        dropout: Share of the neurons before the last layer that is silenced while training.
        outputs: See `Classifier`.

    Raises:
        UserError: The picture is halved to nothing, or an option is out of range.
    """

    def __init__(
        self,
        classes: Sequence[str] = ("no glasses", "glasses"),
        size: int = 32,
        num_blocks: int = 3,
        channels: int | Sequence[int] = 32,
        kernel: int = 3,
        pooling: Pooling = "max",
        batch_norm: bool = True,
        dense: int = 128,
        dropout: float = 0.5,
        outputs: int | None = None,
    ) -> None:
        super().__init__(classes, size, outputs)
        widths = _widths(channels, num_blocks)
        side = size >> num_blocks
        if side < 1:
            raise UserError(
                f"model.num_blocks={num_blocks}: {size} pixels can be halved "
                f"{size.bit_length() - 1} times only; lower it or raise data.size"
            )
        if kernel < 1 or kernel % 2 == 0:
            raise UserError(f"model.kernel={kernel} is not an odd number from 1")
        if pooling not in get_args(Pooling):
            raise UserError(
                f"model.pooling={pooling} does not exist: use {', '.join(get_args(Pooling))}"
            )
        if not 0 <= dropout < 1:
            raise UserError(f"model.dropout={dropout} is not a share from 0 and below 1")
        if dense < 0:
            raise UserError(f"model.dense={dense} is below 0")
        pool = nn.MaxPool2d if pooling == "max" else nn.AvgPool2d
        self.blocks = nn.Sequential()
        before = 3
        for width in widths:
            block = nn.Sequential()
            block.add_module("conv", nn.Conv2d(before, width, kernel, padding=kernel // 2))
            block.add_module("relu", nn.ReLU())
            block.add_module("pool", pool(2))
            if batch_norm:
                block.add_module("norm", nn.BatchNorm2d(width))
            self.blocks.append(block)
            before = width
        head: list[nn.Module] = [nn.Flatten()]
        before *= side**2
        if dense:
            head += [nn.Linear(before, dense), nn.ReLU()]
        self.head = nn.Sequential(
            *head, nn.Dropout(dropout), nn.Linear(dense or before, self.outputs)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (N, outputs), of (N, 3, size, size) in [0, 1]."""
        logits: Tensor = self.head(self.blocks(images))
        return logits


def _widths(channels: int | Sequence[int], num_blocks: int) -> list[int]:
    if num_blocks < 1:
        raise UserError(f"model.num_blocks={num_blocks} is below 1")
    if isinstance(channels, int):
        widths = [channels << block for block in range(num_blocks)]
    else:
        widths = list(channels)
    if len(widths) != num_blocks or min(widths) < 1:
        raise UserError(
            f"model.channels={channels}: give the first block's filters, or a number from 1 for "
            f"each of the {num_blocks} blocks"
        )
    return widths
