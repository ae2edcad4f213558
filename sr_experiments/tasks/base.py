"""What every training procedure of a super-resolution network shares.

Batches are not drawn from a data loader's state: batch ``i`` is a pure function of the seed
and ``i``, and ``i`` is in the checkpoint. So a resumed run sees exactly the batches that it
would have seen.
"""

import copy
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from sr_experiments.data import SRData
from sr_experiments.deploy.tflite import half_model, int8_model
from sr_experiments.errors import UserError, blaming
from sr_experiments.functional.pixels import to_float, to_uint8
from sr_experiments.metrics import psnr_rgb, ssim_rgb
from sr_experiments.models import SRModel, collapse
from sr_experiments.optim import ExponentialMovingAverage
from sr_experiments.pruning import RANKERS_LR, ChannelRanking, pruned
from sr_experiments.quantization.description import description
from sr_experiments.quantization.fake import QuantizedGraph
from sr_experiments.quantization.graph import Graph
from sr_experiments.quantization.modes import HalfPrecision, NoQuantization, PostTraining
from sr_experiments.quantization.qat import QuantizationAware, QuantizationTraining
from sr_experiments.quantization.trace import trace
from sr_experiments.reporting.finish import finish
from sr_experiments.reporting.layer_report import report_layers
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.reporting.shipping import ship
from sr_experiments.tasks.distributed import share, synchronise_batch_norm, widest
from sr_experiments.tasks.reference import Reference
from sr_experiments.tasks.scheduling import ScheduledTask


class SuperResolutionTask(ScheduledTask):
    """Preflight, validation, averaging of weights, shipping and testing.

    Args:
        network: The network to train.
        data: Its data set.
        quantization: How the INT8 file is made, and whether it trains; none of it by default.
        ema_decay: Decay per step of an exponential moving average of the weights, which is
            then what is validated and shipped; None ships the trained weights themselves.
        bias_rate: Factor on the learning rate of biases. Adam moves every parameter by about the
            learning rate, so a network of pixels in 0..255 moves its biases 255 times less,
            measured by its signals, than the same network of pixels in [0, 1]: 1/255 trains as
            such a network does.
        channels_last: Keep activations in NHWC memory order, which CPUs and tensor cores
            prefer.

    Attributes:
        quantizer: The ranges of quantisation-aware training; None without.
        reference: The FP32 network that its INT8 file is compared with; None without.
        ranking: What decides which channels go when the stage is over; None keeps them all.
    """

    network: SRModel
    data: SRData

    def __init__(
        self,
        network: SRModel,
        data: SRData,
        *,
        quantization: PostTraining | HalfPrecision | NoQuantization | None = None,
        ema_decay: float | None = None,
        bias_rate: float = 1.0,
        channels_last: bool = True,
    ) -> None:
        super().__init__()
        if ema_decay is not None and not 0 < ema_decay < 1:
            raise UserError(f"task.ema_decay={ema_decay} is not between 0 and 1")
        if not bias_rate > 0:
            raise UserError(f"task.bias_rate={bias_rate} is not above 0")
        if not isinstance(network, SRModel):
            raise UserError(
                f"{type(network).__name__} enlarges nothing: add task=classification, and data= "
                "with labels"
            )
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.network = network.to(memory_format=self.memory_format)
        self.average = ExponentialMovingAverage(network, ema_decay) if ema_decay else None
        self.bias_rate = bias_rate
        self.data = data
        self.quantization = quantization
        self.quantizer: QuantizationTraining | None = None
        self.reference: Reference | None = None
        self.ranking: ChannelRanking | None = None
        self._shipped_graph: Graph | None = None
        self._compiled: Callable[[Tensor], Tensor] | None = None

    def setup(self, stage: str) -> None:
        """Measure the ranges that quantisation-aware training starts from.

        Batch norm and these ranges see the batches of all processes.
        """
        if isinstance(self.quantization, QuantizationAware) and self.quantizer is None:
            self.start_quantization(self.quantization, self.quantization.images(self.data))
        if self.quantizer is not None:
            self.quantizer.ranges.widest = widest
        synchronise_batch_norm(self)

    def start_quantization(self, mode: QuantizationAware, calibration: Tensor) -> None:
        """Go on training on the INT8 grid.

        Args:
            mode: How to quantise.
            calibration: (N, 3, h, w) in [0, 1], what the first ranges are measured on.

        Raises:
            UserError: There is no FP32 network to compare with.
        """
        ema_decay = None if self.average is None else self.average.decay
        self.reference = Reference.of(mode.reference, self.network, ema_decay)
        self.quantizer = mode.start(trace(self.network), calibration)

    def quantized(self) -> QuantizedGraph | None:
        """What ships of quantisation-aware training, with the trained ranges; None without."""
        if self.quantizer is None:
            return None
        if self.average is not None and self._shipped_graph is None:
            self._shipped_graph = trace(self.shipped)
        return self.quantizer.quantized(self._shipped_graph)

    @property
    def trained(self) -> SRModel:
        """The network, or the average of its weights."""
        if self.average is None:
            return self.network
        assert isinstance(self.average.module, SRModel)
        return self.average.module

    @property
    def shipped(self) -> SRModel:
        """The network that is validated, exported and shipped; without the channels that go."""
        return self.trained if self.ranking is None else self.ranking.twin(self.trained)

    @property
    def newest_is_best(self) -> bool:
        """While channels are chosen, later networks have fewer: the last one is what is wanted."""
        return self.ranking is not None

    def forward(self, low_res: Tensor) -> Tensor:
        """Enlarge a batch, (N, 3, H, W) in [0, 1], as the network that is shipped does."""
        quantized = self.quantized()
        run = self.shipped if quantized is None else quantized.run
        prediction: Tensor = run(low_res.contiguous(memory_format=self.memory_format))
        return prediction

    def predict(self, low_res: Tensor) -> Tensor:
        """What the loss sees of a batch, (N, 3, H, W) in [0, 1].

        The trained network's output, in quantisation-aware training that of the INT8 grid.
        """
        run = self._compiled or self.network if self.quantizer is None else self.quantizer.run
        prediction: Tensor = run(low_res)
        # Behind bf16 layers the loss is in float32 all the same.
        return prediction.to(low_res.dtype)

    @property
    def is_quantization_aware(self) -> bool:
        """Whether it trains on the INT8 grid."""
        return isinstance(self.quantization, QuantizationAware)

    def check_compiles(self) -> None:
        """Refuse what changes its graph from step to step; see `Task`."""
        if self.is_quantization_aware:
            raise UserError(
                "trainer.compile=true: quantisation-aware training moves its ranges with every "
                "step, and none is compiled; set trainer.compile=false, or auto"
            )

    def compile_step(self) -> None:
        """Compile the network as `predict` runs it; all else calls the network itself."""
        torch.compiler.reset()  # of what earlier stages compiled, which counts against a limit
        self._compiled = torch.compile(self.network.forward)

    def trial(self) -> Callable[[], None]:
        """Forward and backward pass of a batch of noise, for timing."""
        data, scale = self.data, self.data.scale
        low_res, high_res = (
            torch.rand(data.batch_size, 3, side, side, device=self.device).contiguous(
                memory_format=self.memory_format
            )
            for side in (data.patch, data.patch * scale)
        )

        def run() -> None:
            self.zero_grad(set_to_none=True)
            torch.autograd.backward(self.total_loss(self.terms(low_res, high_res)))

        return run

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What an optimiser trains: the network, an FP32 twin, and ranges and rankers undecayed."""
        network = trainable_parameters(self.network)
        if self.reference is not None:
            network += trainable_parameters(self.reference)
        groups: list[dict[str, Any]] = [{"params": network}]
        if self.bias_rate != 1:
            named = [*self.network.named_parameters()]
            if self.reference is not None:
                named += self.reference.named_parameters()
            biases = {id(value) for name, value in named if name.rpartition(".")[2] == "bias"}
            groups = [
                {"params": [value for value in network if id(value) not in biases]},
                {"params": [value for value in network if id(value) in biases]},
            ]
            groups[1]["rate"] = self.bias_rate
        ranges = [] if self.quantizer is None else trainable_parameters(self.quantizer)
        if ranges:
            groups.append({"params": ranges, "weight_decay": 0.0})
        if self.ranking is not None:
            rankers = list(self.ranking.parameters())
            groups.append({"params": rankers, "lr": RANKERS_LR, "weight_decay": 0.0})
        return groups

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradient's norm; a twin's apart, for neither network knows of the other."""
        if gradient_clip_val is None:
            return
        parts = [self.network, self.quantizer], [self.reference]
        for modules in parts:
            parameters = [p for part in modules if part is not None for p in part.parameters()]
            torch.nn.utils.clip_grad_norm_(parameters, gradient_clip_val)

    @abstractmethod
    def terms(self, low_res: Tensor, high_res: Tensor) -> dict[str, Tensor]:
        """What a step minimises the sum of, by name; preflight tries it on noise."""

    def val_dataloader(self) -> Iterable[int]:
        """One entry per validation image."""
        return range(len(self.data.val_pairs()))

    def train_batch(self, *, whole: bool = False) -> tuple[Tensor, Tensor]:
        """The current batch: (N, 3, h, w) and (N, 3, scale * h, scale * w) in [0, 1].

        Args:
            whole: All of it, not this process's part.
        """
        with self.waiting():
            low_res, high_res = self.data.train_batch(self.iteration)
        if not whole:
            low_res, high_res = share(low_res), share(high_res)
        return (
            low_res.to(self.device).contiguous(memory_format=self.memory_format),
            high_res.to(self.device).contiguous(memory_format=self.memory_format),
        )

    @torch.no_grad()
    def reference_psnr(self) -> float:
        """RGB PSNR of the reference on the validation images, in dB, as ``val/psnr``."""
        assert self.reference is not None
        network = self.reference.shipped
        training = network.training
        network.eval()
        scores = [
            psnr_rgb(self._picture(network, low_res), high_res, self.data.scale)
            for _, low_res, high_res in self.data.val_pairs()
        ]
        network.train(training)
        return fmean(scores)

    def _picture(self, run: Callable[[Tensor], Tensor], low_res: Tensor) -> Tensor:
        """What a network makes of one 8-bit image, rounded to 8 bits."""
        return to_uint8(run(to_float(low_res).to(self.device)[None])[0]).cpu()

    @torch.no_grad()
    def picture(self, low_res: Tensor) -> Tensor:
        """What the network that ships makes of one image, (3, H, W) uint8 in and out."""
        return self._picture(self, low_res)

    def validation_step(self, index: int, batch_idx: int) -> None:
        """Score one validation image on its rounded 8-bit picture, RGB."""
        _, low_res, high_res = self.data.val_pairs()[index]
        with torch.autocast(self.device.type, enabled=False):  # what ships is scored, not bf16
            picture = self._picture(self, low_res)
        border = self.data.scale
        scores = {
            "val/psnr": psnr_rgb(picture, high_res, border),
            "val/ssim": ssim_rgb(picture, high_res, border),
        }
        for name, value in scores.items():
            self.log(
                name,
                value,
                on_epoch=True,
                batch_size=1,
                prog_bar=name == "val/psnr",
                sync_dist=True,
            )

    def preflight(self, choices: Mapping[str, str]) -> None:
        """One batch of noise forward and backward, and one INT8 file; see `Task`."""
        network, data = self.network, self.data
        if not network.trainable:
            raise UserError(
                f"model={choices['model']} cannot be trained: {network.reason}\n"
                f"  score it with: python -m sr_experiments.evaluate model={choices['model']}"
            )
        random_state, before = torch.get_rng_state(), copy.deepcopy(self.state_dict())
        low_res = torch.rand(2, 3, data.patch, data.patch)
        high_res = torch.rand(2, 3, data.patch * data.scale, data.patch * data.scale)
        shape = network(low_res).shape
        if shape != high_res.shape:
            raise UserError(
                f"model={choices['model']} makes {tuple(shape)} of {tuple(low_res.shape)}, not "
                f"{tuple(high_res.shape)}: check scale={data.scale}"
            )
        mode = self.quantization
        if isinstance(mode, PostTraining | HalfPrecision) and not network.deployable:
            raise UserError(
                f"model={choices['model']} cannot be quantised: {network.reason}\n"
                "  add quantization=none"
            )
        if isinstance(mode, HalfPrecision):
            half_model(trace(network), height=8, width=8)
        if isinstance(mode, PostTraining):
            data.calibration_files(mode.calibration_set)
        if isinstance(mode, QuantizationAware):
            self.start_quantization(mode, low_res)
        terms = blaming("loss", lambda: self.terms(low_res, high_res))
        torch.autograd.backward(self.total_loss(terms))
        self.zero_grad(set_to_none=True)
        if isinstance(mode, PostTraining):
            quantized = self.quantized() or mode.quantize(trace(network), low_res)
            int8_model(quantized, height=8, width=8)
        # Training starts as if nothing had run: batch norm has seen the noise above.
        self.quantizer = self.reference = self._shipped_graph = None
        self.load_state_dict(before)
        torch.set_rng_state(random_state)

    def outcome(self, config: Mapping[str, Any]) -> tuple[nn.Module, dict[str, Any]]:
        """The network that would ship, unfolded; see `Task`."""
        quantized = self.quantized()
        self.trained.quantized |= isinstance(self.quantization, QuantizationAware)
        self.trained.ranges = None if quantized is None else description(quantized)
        if self.ranking is not None:
            return pruned(self.trained, config, self.ranking.keep())
        return self.trained, dict(config)

    def finish(self, folder: RunFolder, config: Mapping[str, Any], threads: int) -> dict[str, Any]:
        """Write the shipped files, score them on every test set and draw pictures; see `Task`."""
        network, config = self.cpu().outcome(config)
        assert isinstance(network, SRModel)
        quantized = self.quantized()
        if quantized is None and isinstance(self.quantization, PostTraining):
            calibration = self.quantization.images(self.data)
            quantized = self.quantization.quantize(trace(collapse(network)), calibration)
        compared = None
        if self.reference is not None:
            compared = self.reference.shipped, self.reference.words
        half = isinstance(self.quantization, HalfPrecision)
        shipped = ship(network, config, folder.path, quantized, half, compared)
        if quantized is not None:
            report_layers(folder.path, quantized, self.data.val_pairs())
        return finish(folder, shipped, self.data, threads)


def trainable_parameters(network: nn.Module) -> list[nn.Parameter]:
    """Parameters that a gradient may change."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]
