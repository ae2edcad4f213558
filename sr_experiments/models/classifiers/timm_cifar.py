"""timm's classifiers with a first layer for 32x32 pictures.

ImageNet networks begin with a large convolution of stride 2 and a pooling of stride 2, which
leave 8x8 pixels of 32x32. Here the first convolution is 3x3 with stride 1 and the pooling is
left out, as pytorch-cifar does: the mini-batch paper's question "What are the results for other
CNN architectures?" (section 5) is then one word, ``model.name``.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.models.classifiers.base import Classifier

__all__ = ["TimmCifar"]

# Where each family has its first convolution and the pooling behind it.
STEMS = {
    "resnet": ("conv1", "maxpool"),
    "densenet": ("features.conv0", "features.pool0"),
    "dpn": ("features.conv1_1.conv", "features.conv1_pool"),
}


class TimmCifar(Classifier):
    """A network of timm, its first layers replaced, its weights fresh.

    Args:
        classes: See `Classifier`.
        size: See `Classifier`.
        name: A ResNet, DenseNet or DPN of ``timm.list_models()``.
        outputs: See `Classifier`.

    Raises:
        UserError: There is no such network, or it is of another family.
    """

    def __init__(
        self,
        classes: Sequence[str],
        size: int = 32,
        name: str = "resnet18",
        outputs: int | None = None,
    ) -> None:
        super().__init__(classes, size, outputs)
        import timm

        family = next((key for key in STEMS if name.startswith(key)), None)
        if family is None or not timm.is_model(name):
            raise UserError(
                f"model.name={name} is none of timm's ResNets, DenseNets or DPNs, such as "
                "resnet18, densenet121, dpn92; others, as they are: model=timm_classifier"
            )
        self.network: nn.Module = timm.create_model(name, num_classes=self.outputs)
        for path in STEMS[family]:
            parent = self.network.get_submodule(path.rpartition(".")[0])
            leaf = path.rpartition(".")[2]
            first = getattr(parent, leaf, None)
            if isinstance(first, nn.Conv2d):
                width = first.out_channels
                setattr(parent, leaf, nn.Conv2d(3, width, 3, padding=1, bias=False))
            elif isinstance(first, nn.MaxPool2d):
                setattr(parent, leaf, nn.Identity())
            else:
                raise UserError(f"model.name={name} begins otherwise: use model=timm_classifier")

    def forward(self, images: Tensor) -> Tensor:
        """Logits, (N, outputs), of (N, 3, H, W)."""
        logits: Tensor = self.network(images)
        return logits
