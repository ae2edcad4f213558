"""One whole picture through any runtime, as the 8-bit picture that is scored."""

import torch
from torch import Tensor

from sr_experiments.deploy.runtimes import Runtime, to_uint8
from sr_experiments.deploy.tiling import upscale_tiled


def predict_image(runtime: Runtime, low_res: Tensor) -> Tensor:
    """Enlarge one image.

    Args:
        runtime: Any network; one with a fixed input size is run tile by tile.
        low_res: (3, H, W) uint8.

    Returns:
        (3, scale * H, scale * W) uint8, clipped and rounded half up.
    """
    image = low_res.permute(1, 2, 0).contiguous().numpy()
    if runtime.input_size is None:
        picture = torch.from_numpy(to_uint8(runtime.predict(image[None])[0]))
    else:
        height, width, _ = image.shape
        picture = torch.empty((height * runtime.scale, width * runtime.scale, 3), dtype=torch.uint8)
        for y, x, tile in upscale_tiled(runtime, image):
            rows, columns, _ = tile.shape
            picture[y : y + rows, x : x + columns] = torch.from_numpy(tile)
    return picture.permute(2, 0, 1).contiguous()
