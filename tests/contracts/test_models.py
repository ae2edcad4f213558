"""What every network must do. A new YAML in conf/model is tested without another line here."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf
from skimage import data
from torch import Tensor, nn

from sr_experiments.deploy.parity import compare
from sr_experiments.deploy.runtimes import to_uint8
from sr_experiments.deploy.tflite import int8_model
from sr_experiments.errors import UserError
from sr_experiments.functional.resize import downscale
from sr_experiments.metrics import psnr_rgb
from sr_experiments.models import SRModel, collapse, count_parameters, load_model, save_model
from sr_experiments.models.blocks import Reparameterised, WeightNormConv2d
from sr_experiments.models.fitted import FittedModel
from sr_experiments.quantization.modes import PostTraining
from sr_experiments.quantization.trace import trace

FILES = [
    path
    for path in sorted((Path(__file__).resolve().parents[2] / "conf" / "model").glob("*.yaml"))
    if issubclass(get_class(OmegaConf.load(path)["_target_"]), SRModel)
]
NAMES = [path.stem for path in FILES]
every_network = pytest.mark.parametrize("name", NAMES)

LARGE = 1_000_000  # parameters that ship; larger networks are built narrow
NARROW = {"channels": 16, "growth": 8, "num_blocks": 2, "atoms": 64}


def published(name: str, scale: int = 3) -> dict[str, Any]:
    root = OmegaConf.create({"scale": scale, "model": OmegaConf.load(FILES[NAMES.index(name)])})
    resolved = OmegaConf.to_container(root.model, resolve=True)
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}


@cache
def is_large(name: str) -> bool:
    with torch.device("meta"):
        model = instantiate(published(name))
        return count_parameters(model) > LARGE and count_parameters(collapse(model)) > LARGE


def trains(name: str) -> bool:
    network = get_class(published(name)["_target_"])
    assert issubclass(network, SRModel)
    return network.trainable


def config(name: str, scale: int = 3, **options: Any) -> dict[str, Any]:
    shown = published(name, scale)
    narrow = {key: value for key, value in NARROW.items() if key in shown and is_large(name)}
    return shown | narrow | options


def variants() -> Iterator[Any]:
    """Each network as it is, and with every switch turned over, short where it can be."""
    for name in NAMES:
        yield pytest.param(name, {}, id=name)
        shown = published(name)
        short = {"num_blocks": 2} if "num_blocks" in shown else {}
        changes = [{key: not value} for key, value in shown.items() if isinstance(value, bool)]
        if "clip_hidden" in shown:
            changes += [{"clip_hidden": 0.5}, {"clip_hidden": "learned"}]
        if "res_scale" in shown:
            changes += [{"res_scale": 0.1}]
        for change in changes:
            ((key, value),) = change.items()
            yield pytest.param(name, short | change, id=f"{name}-{key}={value}")


every_variant = pytest.mark.parametrize(("name", "options"), list(variants()))


def build(name: str, scale: int = 3, **options: Any) -> SRModel:
    torch.manual_seed(0)
    model = instantiate(config(name, scale, **options))
    assert isinstance(model, SRModel)
    return model


def photo(scale: int) -> tuple[Tensor, Tensor]:
    """A cat's eye: (1, 3, 32, 40) in [0, 1], and the same ``scale`` times larger."""
    crop = data.chelsea()[70 : 70 + 32 * scale, 120 : 120 + 40 * scale].copy()
    high_res = torch.from_numpy(crop).permute(2, 0, 1)[None]
    return downscale(high_res, scale) / 255, high_res / 255


CONVS = (nn.Conv2d, nn.ConvTranspose2d, WeightNormConv2d)


@contextmanager
def lively(model: nn.Module, deviation: float) -> Iterator[None]:
    """Scale each layer, while one picture passes, to outputs of a deviation around its bias.

    Untrained networks say next to nothing (XLSR's output differs from black by 0.005), and a
    file of zeros would pass for theirs.
    """

    def rescale(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        assert isinstance(layer, CONVS)
        level = 0 if layer.bias is None else layer.bias.view(-1, 1, 1)
        factor = deviation / (output - level).std()
        strength = layer.gain if isinstance(layer, WeightNormConv2d) else layer.weight
        strength.mul_(factor)
        return (output - level) * factor + level

    layers = [module for module in model.modules() if isinstance(module, CONVS)]
    online = [m for m in model.modules() if isinstance(m, Reparameterised) and m.online]
    for block in online:  # which do not call their layers
        block.online = False
    handles = [layer.register_forward_hook(rescale) for layer in layers]
    with torch.no_grad():
        yield
    for handle in handles:
        handle.remove()
    for block in online:
        block.online = True


def lively_network(name: str, deviation: float = 0.3, **options: Any) -> SRModel:
    model = build(name, **options)
    with lively(model, deviation):
        model(photo(3)[0])
    return model.eval()


@every_network
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_output_is_scale_times_the_input_at_odd_sizes(name: str, scale: int) -> None:
    model = build(name, scale)
    assert model.scale == scale
    with torch.no_grad():
        assert model(torch.rand(2, 3, 17, 23)).shape == (2, 3, 17 * scale, 23 * scale)
        assert model(torch.rand(1, 3, 5, 1)).shape == (1, 3, 5 * scale, scale)


def test_a_large_network_is_built_narrow_and_a_small_one_as_it_is() -> None:
    for name in NAMES:
        model = instantiate(config(name))
        assert count_parameters(model) < LARGE or not is_large(name), name
    assert is_large("edsr_large")
    assert config("xlsr") == published("xlsr")


@every_network
def test_yaml_shows_every_option_and_the_defaults_if_it_is_the_modules_own(name: str) -> None:
    shown = published(name)
    network = get_class(shown.pop("_target_"))
    options = inspect.signature(network).parameters
    assert shown.keys() == options.keys()
    if network.__module__.endswith(f".{name}"):
        assert shown == {option: parameter.default for option, parameter in options.items()}


@every_network
def test_what_a_network_cannot_do_has_a_reason(name: str) -> None:
    model = build(name)
    able = model.trainable and model.deployable and model.batch_independent
    assert able == (not model.reason)
    learns = model.trainable or isinstance(model, FittedModel)
    assert learns == (count_parameters(model) > 0)


def without_gradient(model: SRModel) -> list[str]:
    low_res, high_res = photo(3)
    prediction = model.train()(low_res)
    if model.trainable:
        (prediction - high_res).abs().mean().backward()
    return [
        key
        for key, value in model.named_parameters()
        if model.trainable and (value.grad is None or not value.grad.any())
    ]


@every_network
def test_every_parameter_of_a_fresh_network_gets_a_gradient_from_a_photo(name: str) -> None:
    assert not without_gradient(build(name))


@every_variant
def test_every_parameter_gets_a_gradient_once_the_features_are_large_enough_to_be_cut(
    name: str, options: dict[str, Any]
) -> None:
    assert not without_gradient(lively_network(name, deviation=1.0, **options))


@every_network
def test_pictures_of_a_batch_do_not_touch_each_other_unless_declared(name: str) -> None:
    model = build(name).train()
    batch = torch.cat([photo(3)[0], photo(3)[0].flip(-1)]).requires_grad_()
    prediction = model(batch)
    prediction[0].sum().backward()
    assert batch.grad is not None
    own, other = (bool(gradient.any()) for gradient in batch.grad)
    assert own
    assert other == (not model.batch_independent)


@every_network
def test_network_survives_its_file_bit_for_bit(name: str, tmp_path: Path) -> None:
    for model in (lively_network(name), collapse(lively_network(name))):
        save_model(model, config(name), tmp_path / "model.safetensors")
        torch.manual_seed(1)
        loaded = load_model(tmp_path / "model.safetensors")
        low_res, _ = photo(3)
        with torch.no_grad():
            assert torch.equal(loaded(low_res), model(low_res))


@every_variant
def test_collapsed_network_gives_the_same_picture(name: str, options: dict[str, Any]) -> None:
    model = lively_network(name, **options).double()
    low_res = photo(3)[0].double()
    with torch.no_grad():
        assert (collapse(model)(low_res) - model(low_res)).abs().max() < 1e-9


@every_variant
def test_traced_network_gives_the_same_picture_or_is_refused(
    name: str, options: dict[str, Any]
) -> None:
    model = lively_network(name, **options)
    if not model.deployable:
        with pytest.raises(UserError, match=model.reason):
            trace(model)
        return
    graph = trace(model)
    low_res, _ = photo(3)
    with torch.no_grad():
        expected = model(low_res)
        assert (graph.run(low_res) - expected).abs().max() < 1e-5 * expected.abs().max()


def signal_to_noise(values: Tensor, reference: Tensor) -> float:
    """In dB; the mean of the reference carries no signal."""
    return 10 * float(torch.log10(reference.var() / (values - reference).square().mean()))


@every_variant
@pytest.mark.parametrize("per_channel", [True, False])
def test_int8_file_is_as_near_to_the_network_as_its_fake_quantised_twin(
    name: str, options: dict[str, Any], per_channel: bool
) -> None:
    model = lively_network(name, **options)
    if not model.deployable:
        pytest.skip(model.reason)
    low_res, _ = photo(3)
    with torch.no_grad():
        expected = model(low_res)
        mode = PostTraining(per_channel=per_channel, output_type="float32")
        quantized = mode.quantize(trace(collapse(model)), low_res)
        fake = quantized.run(low_res)
    runtime = Interpreter(model_content=int8_model(quantized, *low_res.shape[-2:]))
    runtime.allocate_tensors()
    pixels = low_res.mul(255).round().to(torch.uint8).permute(0, 2, 3, 1)
    runtime.set_tensor(runtime.get_input_details()[0]["index"], pixels.numpy())
    runtime.invoke()
    output = runtime.get_tensor(runtime.get_output_details()[0]["index"])
    measured = signal_to_noise(torch.from_numpy(output.copy()).permute(0, 3, 1, 2), expected)
    # One scale is coarse for a kernel that also passes its input on: a folded identity.
    assert measured > (20 if per_channel else 15)
    assert measured == pytest.approx(signal_to_noise(fake, expected), abs=0.5)
    # The parity that every export shows, on 8-bit pictures.
    ours, theirs = (
        to_uint8(255 * made) for made in (output[0], fake[0].permute(1, 2, 0).contiguous().numpy())
    )
    parity = compare(ours, theirs)
    assert parity.within_one >= 0.999, parity
    high_res = photo(3)[1].mul(255)[0]
    file, twin = (
        psnr_rgb(torch.from_numpy(made).permute(2, 0, 1), high_res, 3) for made in (ours, theirs)
    )
    assert abs(file - twin) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if is_large(name) and trains(name)])
def test_a_large_network_at_its_full_size_learns_a_patch_in_20_steps(name: str) -> None:
    torch.manual_seed(0)
    model = instantiate(published(name)).train()
    assert count_parameters(model) > LARGE
    low_res, high_res = (
        image[..., : 12 * s, : 12 * s] for image, s in zip(photo(3), (1, 3), strict=True)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    losses = []
    for _ in range(20):
        loss = (model(low_res) - high_res).abs().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.99 * losses[0], losses  # MSRResNet starts at bilinear, and falls slowly
