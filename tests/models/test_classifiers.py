from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from sr_experiments.errors import UserError
from sr_experiments.models import GlassesCNN, TimmClassifier, count_parameters


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 356_097),  # NETWORKS 6.3
        ({"batch_norm": False}, 355_649),
        # 3*4*9+4 + 4*8*9+8, BN 2*(4+8), dense 8*8*8*16+16, 16+1
        ({"num_blocks": 2, "channels": 4, "dense": 16}, 112 + 296 + 24 + 8_208 + 17),
        ({"num_blocks": 2, "channels": [4, 5], "dense": 0, "kernel": 1}, 16 + 25 + 18 + 321),
        ({"size": 64, "outputs": 2}, 356_097 + 3 * 2048 * 128 + 129),
    ],
)
def test_glasses_cnn_has_as_many_parameters_as_its_layers_say(
    options: dict[str, Any], count: int
) -> None:
    assert count_parameters(GlassesCNN(**options)) == count


def test_blocks_convolve_rectify_pool_and_normalise_in_this_order() -> None:
    block = GlassesCNN(pooling="average").blocks[0]
    assert [type(layer).__name__ for layer in block] == [
        "Conv2d",
        "ReLU",
        "AvgPool2d",
        "BatchNorm2d",
    ]
    picture = torch.rand(1, 3, 32, 32)
    network = GlassesCNN().eval()
    assert network.blocks(picture).shape == (1, 128, 4, 4)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"num_blocks": 6}, "can be halved 5 times"),
        ({"channels": [8, 16]}, "each of the 3 blocks"),
        ({"kernel": 4}, "not an odd number"),
        ({"pooling": "min"}, "use max, average"),
        ({"dropout": 1.0}, "below 1"),
        ({"outputs": 3}, "1 .a sigmoid. or 2"),
        ({"classes": ["a", "a"]}, "all different"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        GlassesCNN(**options)


def test_dropout_works_only_while_training() -> None:
    network, picture = GlassesCNN(), torch.rand(2, 3, 32, 32)
    assert not torch.equal(network.train()(picture), network(picture))
    assert torch.equal(network.eval()(picture), network(picture))


def test_one_sigmoid_neuron_is_the_probability_of_the_second_class() -> None:
    logits = torch.tensor([[0.0], [1.0986123]])  # ln 3
    expected = torch.tensor([[0.5, 0.5], [0.25, 0.75]])
    assert torch.allclose(GlassesCNN().probabilities(logits), expected)


def test_timm_networks_see_pictures_as_their_weights_were_trained() -> None:
    network = TimmClassifier(name="resnet18").eval()
    picture = torch.rand(2, 3, 32, 32)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        assert torch.allclose(network(picture), network.network((picture - mean) / std))


def test_timm_weights_of_a_file_replace_all_but_the_last_layer(tmp_path: Any) -> None:
    trained = timm.create_model("resnet18", num_classes=7).state_dict()
    save_file(trained, tmp_path / "seven.safetensors")
    network = TimmClassifier(weights=str(tmp_path / "seven.safetensors"))
    fresh = {key: value.clone() for key, value in network.network.state_dict().items()}
    network.load_pretrained()
    now = network.network.state_dict()
    assert torch.equal(now["layer4.1.conv2.weight"], trained["layer4.1.conv2.weight"])
    assert torch.equal(now["fc.weight"], fresh["fc.weight"])
    del trained["conv1.weight"]
    save_file(trained, tmp_path / "seven.safetensors")
    with pytest.raises(UserError, match=r"conv1\.weight"):
        network.load_pretrained()


def test_only_the_last_layer_trains_where_that_is_asked_for() -> None:
    network = TimmClassifier(head_only=True)
    trains = [key for key, value in network.named_parameters() if value.requires_grad]
    assert trains == ["network.fc.weight", "network.fc.bias"]


def test_a_misspelt_timm_network_is_answered_with_one_that_exists() -> None:
    with pytest.raises(UserError, match=r"did you mean .*resnet18"):
        TimmClassifier(name="resnet-18")
