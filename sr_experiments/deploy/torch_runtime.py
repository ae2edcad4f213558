"""Running a network in eager PyTorch, behind the same interface as the files."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sr_experiments.models.base import SRModel
from sr_experiments.quantization.graph import receptive_radius
from sr_experiments.quantization.trace import UnsupportedOperator, trace


class TorchRuntime:
    """A network on a device, in evaluation mode while it runs.

    Args:
        model: Moved to the device; with ``half`` a copy of it.
        device: Of torch.
        channels_last: Keep pixels, not planes, together in memory, which is faster on most CPUs.
        half: Weights and activations in float16, and the arithmetic as the device does it.

    Attributes:
        name: ``torch`` and how.
        scale: The network's.
        input_size: None: any.
    """

    input_size: tuple[int, int] | None = None

    def __init__(
        self,
        model: SRModel,
        device: str | torch.device = "cpu",
        channels_last: bool = False,
        half: bool = False,
    ) -> None:
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self._device = torch.device(device)
        self._dtype = torch.float16 if half else torch.float32
        model = copy.deepcopy(model).half() if half else model
        self.model = model.to(self._device).to(memory_format=self._format)
        self.name = f"torch{' fp16' if half else ''}{' channels-last' if channels_last else ''}"
        self.scale = model.scale

    @property
    def threads(self) -> int:
        """Of torch's operators."""
        return torch.get_num_threads()

    @cached_property
    def radius(self) -> int | None:
        """Low-resolution pixels it looks to each side; None where that is unknown or everything."""
        try:
            return receptive_radius(trace(self.model))
        except UnsupportedOperator:
            return None

    def predict(self, low_res: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Enlarge ``(N, H, W, 3)``; ``(N, scale * H, scale * W, 3)`` in 0..255, not rounded."""
        prediction = self._run(self._image(low_res))
        prediction = prediction.permute(0, 2, 3, 1).float()
        pixels: NDArray[np.float32] = prediction.mul(255).cpu().numpy()
        return pixels

    def prepare(self, low_res: NDArray[np.uint8]) -> Callable[[], object]:
        """Put images in place; the result runs the network on them and does nothing else."""
        image = self._image(low_res)

        def run() -> None:
            self._run(image)
            if self._device.type == "cuda":
                torch.cuda.synchronize(self._device)

        return run

    def _image(self, low_res: NDArray[np.uint8]) -> Tensor:
        image = torch.from_numpy(np.require(low_res, requirements=["C", "W"])).to(self._device)
        image = image.permute(0, 3, 1, 2).float() / 255
        return image.to(self._dtype).contiguous(memory_format=self._format)

    def _run(self, image: Tensor) -> Tensor:
        training = self.model.training
        self.model.eval()
        with torch.inference_mode():
            prediction: Tensor = self.model(image)
        self.model.train(training)
        return prediction
