"""MATLAB's bicubic enlargement as a layer, so that a network that starts from it can ship."""

from torch import Tensor, nn

from sr_experiments.functional.bicubic import bicubic_upscale


class BicubicUpscale(nn.Module):
    """``imresize(image, scale)``: symmetric border, one fixed convolution, depth-to-space.

    Nothing to train and nothing in the state dict.

    Shape:
        (N, C, H, W) to (N, C, scale * H, scale * W).
    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge; neither rounded nor clipped."""
        return bicubic_upscale(low_res, self.scale)

    def extra_repr(self) -> str:
        """Show the scale when the module is printed."""
        return f"scale={self.scale}"
