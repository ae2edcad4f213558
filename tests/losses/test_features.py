"""Trunks: taps, normalisation, weights from files and hubs, and who may not see them."""

import copy
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from skimage import data
from torch import Tensor, nn

from sr_experiments.errors import UserError
from sr_experiments.losses import FeatureExtractor

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
HALVES = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
# torchvision's vgg11: which entry of ``features`` each name of the papers is
VGG11 = {"conv1_1": 0, "relu1_1": 1, "pool1": 2, "conv3_2": 8, "relu4_2": 14, "conv5_2": 18}


def layer_by_layer(layers: nn.Sequential, image: Tensor) -> list[Tensor]:
    """Output of every layer, copied before the next one may overwrite it."""
    image = (image - torch.tensor(IMAGENET["mean"]).view(3, 1, 1)) / torch.tensor(
        IMAGENET["std"]
    ).view(3, 1, 1)
    outputs = []
    for layer in layers:
        image = layer(image)
        outputs.append(image.clone())
    return outputs


@pytest.fixture
def image() -> Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def mobilenet_file(data_dir: Path) -> Path:
    return data_dir / "weights" / "mobilenet_v2_imagenet_fp16.pth"


def test_layers_of_vgg_go_by_the_papers_names_before_and_after_the_activation(
    image: Tensor, vgg11: nn.Sequential, vgg11_file: Path
) -> None:
    names = list(reversed(VGG11))
    seen = FeatureExtractor("torchvision/vgg11", names, str(vgg11_file))(image)
    expected = layer_by_layer(vgg11, image)
    for name, features in zip(names, seen, strict=True):
        assert torch.allclose(features, expected[VGG11[name]], atol=1e-5), name
    before, after = FeatureExtractor(
        "torchvision/vgg11", ["conv5_2", "relu5_2"], str(vgg11_file)
    )(image)  # fmt: skip
    assert before.min() < 0
    assert torch.equal(before.relu(), after)


def test_timms_trunks_are_cut_by_the_names_of_their_modules(image: Tensor, tmp_path: Path) -> None:
    import timm

    torch.manual_seed(0)
    model = timm.create_model("resnet18").eval().requires_grad_(False)
    file = tmp_path / "resnet18.safetensors"
    save_file(model.state_dict(), file)
    wanted: dict[str, Tensor] = {}
    for name in ("layer1.0.bn2", "layer2"):  # the first is added to in place
        module = model.get_submodule(name)
        module.register_forward_hook(
            lambda _module, _inputs, output, name=name: wanted.__setitem__(name, output.clone())
        )
    model((image - 0.5) / 0.5)
    seen = FeatureExtractor("timm/resnet18", list(wanted), str(file), **HALVES)(image)
    for features, expected in zip(seen, wanted.values(), strict=True):
        assert torch.allclose(features, expected, atol=1e-5)


@pytest.mark.parametrize("options", [HALVES, {"normalize": False}, {}])
def test_mobilenet_sees_what_torchvision_shows_it(
    image: Tensor, mobilenet_file: Path, options: dict[str, list[float]]
) -> None:
    from torchvision.models import mobilenet_v2

    model = mobilenet_v2().eval().requires_grad_(False)
    model.load_state_dict(torch.load(mobilenet_file, weights_only=True))
    scaled = {"mean": [0, 0, 0], "std": [1, 1, 1]} if "normalize" in options else options
    mean, std = (torch.tensor((scaled or IMAGENET)[key]).view(3, 1, 1) for key in ("mean", "std"))
    expected = model.features[:17]((image - mean) / std)
    extractor = FeatureExtractor(
        "torchvision/mobilenet_v2", ["features.16"], str(mobilenet_file), **options
    )
    assert torch.allclose(extractor(image)[0], expected, atol=1e-5)
    assert expected.min() < 0  # the block ends without an activation


def test_mobilenets_last_layer_knows_a_cat(mobilenet_file: Path) -> None:
    photo = torch.from_numpy(data.chelsea()).permute(2, 0, 1)[None, :, :, 75:375] / 255
    photo = F.interpolate(photo, size=224, mode="bilinear", antialias=True)
    extractor = FeatureExtractor(
        "torchvision/mobilenet_v2", ["features.18"], str(mobilenet_file), **HALVES
    )
    state = torch.load(mobilenet_file, weights_only=True)
    weight, bias = (state[f"classifier.1.{name}"].float() for name in ("weight", "bias"))
    probability = F.linear(extractor(photo)[0].mean((2, 3)), weight, bias).softmax(1)[0]
    assert probability[281:286].sum() > 0.98  # ImageNet's five house cats


def test_a_trunk_is_neither_saved_nor_trained_and_follows_its_module(
    image: Tensor, vgg11_file: Path
) -> None:
    parent = nn.Sequential(nn.Conv2d(3, 3, 1))
    parent.add_module("loss", FeatureExtractor("torchvision/vgg11", ["relu2_1"], str(vgg11_file)))
    extractor = parent.loss
    before = extractor(image)[0]
    assert parent.state_dict().keys() == {"0.weight", "0.bias"}
    assert len(list(parent.parameters())) == 2
    parent.train()
    assert torch.equal(extractor(image)[0], before)
    assert copy.deepcopy(parent).double().loss(image.double())[0].dtype == torch.float64
    assert parent.to("meta").loss(image.to("meta"))[0].device.type == "meta"


def test_a_trunk_read_late_is_where_its_module_was_sent(image: Tensor, vgg11_file: Path) -> None:
    extractor = FeatureExtractor("torchvision/vgg11", ["relu2_1"], str(vgg11_file)).double()
    assert extractor(image.double())[0].dtype == torch.float64


def test_gradients_reach_the_prediction_only(image: Tensor, vgg11_file: Path) -> None:
    extractor = FeatureExtractor("torchvision/vgg11", ["conv1_1", "relu2_1"], str(vgg11_file))
    prediction, target = image.clone().requires_grad_(), image.clone().requires_grad_()
    for have, want in extractor.pair(prediction, target):
        assert torch.equal(have, want)
        assert not want.requires_grad
    torch.stack([have.sum() for have, _ in extractor.pair(prediction, target)]).sum().backward()
    assert prediction.grad is not None
    assert bool((prediction.grad != 0).any())
    assert target.grad is None


def test_reading_a_trunk_leaves_the_random_numbers_of_the_training(
    image: Tensor, vgg11_file: Path
) -> None:
    state = torch.get_rng_state()
    FeatureExtractor("torchvision/vgg11", ["relu1_1"], str(vgg11_file))(image)
    assert torch.equal(torch.get_rng_state(), state)


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(folder: Path, handler: type[SimpleHTTPRequestHandler]) -> Iterator[str]:
    """The address at which this machine serves a folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def hub(
    tmp_path: Path, vgg11_file: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, Path]]:
    """torchvision's hub moved to this machine: its folder of files, and where they are kept."""
    import torchvision
    from torchvision.models import Weights, WeightsEnum
    from torchvision.transforms._presets import ImageClassification

    content = vgg11_file.read_bytes()
    name = f"vgg11-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    served = tmp_path / "served"
    served.mkdir()
    (served / name).write_bytes(content)
    preset = partial(ImageClassification, crop_size=224)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with serving(served, QuietHandler) as address:
        local = WeightsEnum("Local", {"DEFAULT": Weights(f"{address}/{name}", preset, {})})
        monkeypatch.setattr(torchvision.models, "get_model_weights", lambda _: local)
        yield served / name, tmp_path / "torch" / "hub" / "checkpoints" / name


def test_default_weights_are_downloaded_once_and_kept(
    image: Tensor, vgg11: nn.Sequential, hub: tuple[Path, Path]
) -> None:
    served, kept = hub
    seen = FeatureExtractor("torchvision/vgg11", ["relu3_2"])(image)[0]
    assert torch.allclose(seen, layer_by_layer(vgg11, image)[9], atol=1e-5)
    assert kept.is_file()
    served.unlink()
    assert torch.equal(FeatureExtractor("torchvision/vgg11", ["relu3_2"])(image)[0], seen)


def test_a_damaged_download_is_refused_and_not_kept(image: Tensor, hub: tuple[Path, Path]) -> None:
    served, kept = hub
    served.write_bytes(served.read_bytes()[:-100])
    with pytest.raises(UserError, match="invalid hash value"):
        FeatureExtractor("torchvision/vgg11", ["relu3_2"])(image)
    assert not kept.exists()


def test_weights_that_cannot_be_downloaded_are_an_error_that_says_what_to_do(
    image: Tensor, hub: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    served, kept = hub
    served.unlink()
    with pytest.raises(UserError) as failure:
        FeatureExtractor("torchvision/vgg11", ["relu3_2"])(image)
    for word in ("http://127.0.0.1", str(kept.parent), "404", "weights=<file>"):
        assert word in str(failure.value)

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(kept.parent))
    with pytest.raises(UserError, match=r"huggingface.co/timm/resnet18.*weights=<file>"):
        FeatureExtractor("timm/resnet18", ["layer1"])(image)


class HubHandler(QuietHandler):
    """What Hugging Face's hub answers for files of one commit: its name and their checksums."""

    def end_headers(self) -> None:
        file = Path(self.translate_path(self.path))
        if file.is_file():
            self.send_header("X-Repo-Commit", 40 * "a")
            self.send_header("ETag", f'"{hashlib.sha256(file.read_bytes()).hexdigest()}"')
        super().end_headers()


@pytest.fixture
def timms_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Tensor]]:
    """timm's hub moved to this machine: the file that it serves, and its model's first kernels."""
    import timm

    torch.manual_seed(4)
    model = timm.create_model("resnet18")
    served = tmp_path / "served" / "timm" / "resnet18.a1_in1k" / "resolve" / "main"
    served.mkdir(parents=True)
    save_file(model.state_dict(), served / "model.safetensors")
    with serving(tmp_path / "served", HubHandler) as address:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "kept"))
        yield served / "model.safetensors", model.get_parameter("conv1.weight").detach()


def test_timms_default_weights_are_downloaded_once_and_kept(
    image: Tensor, timms_hub: tuple[Path, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    served, kernels = timms_hub
    seen = FeatureExtractor("timm/resnet18", ["conv1"])(image)[0]
    mean, std = (torch.tensor(IMAGENET[key]).view(3, 1, 1) for key in ("mean", "std"))
    expected = F.conv2d((image - mean) / std, kernels, stride=2, padding=3)
    assert torch.allclose(seen, expected, atol=1e-5)
    served.unlink()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert torch.equal(FeatureExtractor("timm/resnet18", ["conv1"])(image)[0], seen)


def test_wrong_files_are_refused_by_name(
    image: Tensor, vgg11_file: Path, tmp_path: Path, vgg11: nn.Sequential
) -> None:
    def look(trunk: str, file: Path) -> None:
        FeatureExtractor(trunk, ["features.1"], str(file))(image)

    with pytest.raises(UserError, match=r"absent\.pth: there is no such file.*vgg11-.*\.pth"):
        look("torchvision/vgg11", tmp_path / "absent.pth")
    with pytest.raises(UserError, match=r"has no weights called features\.0\.0\.weight"):
        look("torchvision/mobilenet_v2", vgg11_file)
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(UserError, match=r"text\.pth cannot be read as weights"):
        look("torchvision/vgg11", tmp_path / "text.pth")
    torch.save(vgg11, tmp_path / "pickled.pth")
    with pytest.raises(UserError, match=r"pickled\.pth cannot be read as weights"):
        look("torchvision/vgg11", tmp_path / "pickled.pth")
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(UserError, match="holds a list"):
        look("torchvision/vgg11", tmp_path / "list.pth")
    shapes = {"features.0.weight": torch.zeros(1), "features.0.bias": torch.zeros(64)}
    torch.save(shapes, tmp_path / "shapes.pth")
    with pytest.raises(UserError, match=r"features\.0\.weight is \(1,\), and \(64, 3, 3, 3\)"):
        look("torchvision/vgg11", tmp_path / "shapes.pth")


@pytest.mark.parametrize(
    ("trunk", "layer", "weights", "message"),
    [
        ("vgg11", "relu1_1", "DEFAULT", "torchvision/<name> or timm/<name>"),
        ("keras/vgg11", "relu1_1", "DEFAULT", "torchvision/<name> or timm/<name>"),
        ("torchvision/vgg12", "relu1_1", "DEFAULT", "did you mean .*vgg11"),
        ("timm/resnet81", "layer1", "DEFAULT", "did you mean .*resnet18"),
        ("torchvision/vgg11", "relu1_2", "x.pth", r"no relu1_2.*did you mean .*relu1_1"),
        ("torchvision/vgg11", "relu1_1", "V1", "IMAGENET1K_V1"),
        ("timm/resnet18", "layer1", "IMAGENET1K_V1", r"timm/resnet18\.<tag>"),
    ],
)
def test_unknown_names_are_refused_with_known_ones(
    image: Tensor, trunk: str, layer: str, weights: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        FeatureExtractor(trunk, [layer], weights)(image)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mean": [0.5, 0.5, 0.5]}, "std=None must be three numbers"),
        ({"mean": [0.5], "std": [0.5, 0.5, 0.5]}, r"mean=\[0.5\] must be three"),
        ({"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0]}, "must be above 0"),
        ({"normalize": False, **HALVES}, "normalize=false leaves no use"),
    ],
)
def test_half_a_normalisation_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        FeatureExtractor("torchvision/vgg11", ["relu1_1"], **options)  # type: ignore[arg-type]


def test_layers_are_at_least_one_and_none_twice(image: Tensor, vgg11_file: Path) -> None:
    with pytest.raises(UserError, match="at least one layer"):
        FeatureExtractor("torchvision/vgg11", [])
    with pytest.raises(UserError, match="names a layer twice"):
        FeatureExtractor("torchvision/vgg11", ["relu1_1", "features.1"], str(vgg11_file))(image)
