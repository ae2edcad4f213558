"""Hints for NPUs: of small networks with one fault each, and over the zoo."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sr_experiments.configuration.networks import names_of_networks, network
from sr_experiments.models import SRModel
from sr_experiments.quantization import UnsupportedOperator, trace
from sr_experiments.quantization.npu_hints import Hint, lines, npu_hints


class Plain(SRModel):
    """What the rules ask for, with a fault put in the middle."""

    def __init__(
        self, middle: nn.Module, forward: Callable[[nn.Module, Tensor, Tensor], Tensor], width: int
    ) -> None:
        super().__init__(2, clip_output=True)
        self.head = nn.Conv2d(3, width, 3, padding=1)
        self.middle = middle
        self.tail = nn.Conv2d(width, 12, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)
        self.change = forward

    def forward(self, low_res: Tensor) -> Tensor:
        x = self.change(self.middle, self.head(low_res).relu(), low_res)
        return self.clip(self.shuffle(self.tail(x)))


def hints(
    middle: nn.Module | None = None,
    forward: Callable[[nn.Module, Tensor, Tensor], Tensor] = lambda part, x, low_res: part(x),
    width: int = 16,
) -> list[Hint]:
    return npu_hints(trace(Plain(middle or nn.Identity(), forward, width)))


def test_a_network_by_the_rules_gets_none() -> None:
    assert hints(nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())) == []
    assert lines("xlsr", []) == []


@pytest.mark.parametrize(
    ("middle", "forward", "kind", "instead"),
    [
        (nn.PReLU(16), None, "activation", "one slope for all channels"),
        (nn.LeakyReLU(0.1), None, "activation", "ReLU"),
        (nn.GELU(), None, "activation", "ReLU"),
        (nn.Conv2d(16, 16, 3, padding=1), lambda part, x, _: part(x) + x, "add", "concatenate"),
        (nn.Conv2d(16, 16, 1), lambda part, x, _: part(x) * x, "attention", "re-parameterised"),
        (nn.Conv2d(16, 16, 5, padding=2), None, "kernel", "rule 2"),
        (
            nn.Conv2d(16, 4, 3, padding=1),
            lambda part, x, _: part(x).relu().repeat_interleave(4, 1),
            "repetition",
            "rule 5",
        ),
    ],
)
def test_each_fault_is_found_where_it_is(
    middle: nn.Module,
    forward: Callable[[nn.Module, Tensor, Tensor], Tensor] | None,
    kind: str,
    instead: str,
) -> None:
    found = hints(middle, forward) if forward else hints(middle)
    (hint,) = [hint for hint in found if hint.kind == kind]
    assert instead in hint.instead
    assert len(hint.places) == 1


def test_hidden_channels_are_counted_and_those_of_depth_to_space_are_not() -> None:
    (hint,) = hints(nn.Conv2d(28, 28, 3, padding=1), width=28)
    assert hint.kind == "channels"
    assert hint.places == ("head", "middle")
    assert "28 channels" in hint.what
    assert hint.instead.startswith("32 take")
    assert hints(width=24) == []


def test_features_that_wait_for_long_are_found_and_the_waiting_picture_is_not() -> None:
    body = nn.Sequential(*(nn.Conv2d(16, 16, 3, padding=1) for _ in range(4)))

    def features(part: nn.Module, x: Tensor, low_res: Tensor) -> Tensor:
        y: Tensor = part(x)
        return torch.cat([y[:, :8], x[:, :8]], 1)

    def picture(part: nn.Module, x: Tensor, low_res: Tensor) -> Tensor:
        y: Tensor = part(x)
        return torch.cat([y[:, :8], low_res, low_res, low_res[:, :2]], 1)

    assert [hint.kind for hint in hints(body, features)] == ["long skip"]
    assert hints(body, picture) == []


def test_lines_name_a_few_places_and_count_the_rest() -> None:
    body = nn.Sequential(*(nn.PReLU(16) for _ in range(5)))
    head, line = lines("mine", hints(body))
    assert head == "mine on an NPU, hints:"
    assert line.startswith("  PReLU with a slope for each channel")
    assert "(middle.0, middle.1, middle.2 and 2 more)" in line


# What is known of them: SCSRN won the challenge, PureConvSR was built without slow operators.
KNOWN = {
    "scsrn": set(),
    "pureconvsr": set(),
    "abpn": {"add", "channels", "long skip", "repetition"},
    "boenet": {"channels"},
    "xlsr": {"long skip"},
    "espcn": {"clip", "kernel"},
    "fsrcnn": {"activation", "channels", "clip", "kernel"},
    "srcnn": {"clip", "kernel", "size"},
    "imdn": {
        "activation", "add", "attention", "channels", "clip", "depth", "long skip",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in names_of_networks() if name != "rrdb"])
def test_hints_over_the_zoo(name: str) -> None:
    try:
        graph = trace(network(name, 3).build("meta"))
    except UnsupportedOperator:
        assert name not in KNOWN
        return  # what cannot be deployed gets no hints
    found = npu_hints(graph)
    kinds = {hint.kind for hint in found}
    if name in KNOWN:
        assert kinds == KNOWN[name]
    assert all(hint.places and hint.instead for hint in found)
    assert len(str(lines(name, found))) < 3000
