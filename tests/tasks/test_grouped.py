"""Runs that meet at every step or block of steps end with the weights and metrics of each alone."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from sr_experiments.configuration.compose import check_with_choices
from sr_experiments.configuration.stages import plan
from sr_experiments.data import Draw
from sr_experiments.losses import Charbonnier
from sr_experiments.tasks import NonFiniteLossError, grouped
from sr_experiments.tasks.grouped import BatchedBlocks, BatchedSteps, Meeting, Replayed
from sr_experiments.tasks.turns import Turns
from sr_experiments.training.parts import build
from sr_experiments.training.trainer import device, make_trainer

TINY = [
    "model=abpn",
    "model.channels=4",
    "model.num_blocks=1",
    "data.batch_size=2",
    "data.patch=16",
    "data.steps_per_epoch=5",
    "data.test=[]",
    "trainer.epochs=2",
    "trainer.accelerator=cpu",
]
RUNS = (["seed=1"], ["seed=2", "optimizer.lr=0.0005"], ["seed=1", "loss.eps=0.01"])
BLOCKS = "trainer.steps_per_batch=3"  # the last one of an epoch has two
SUMMED = "+task.regularizers.range={_target_: sr_experiments.regularizers.KernelRange}"

# Lightning 2.6 asks torch's pytree in a way that torch 2.15 deprecates.
pytestmark = [
    pytest.mark.usefixtures("one_cache"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*in eval mode at the start of training.*"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
]

Result = tuple[dict[str, Tensor], dict[str, float]]


def fit(words: Sequence[str]) -> Result:
    """Weights, averages and all, and metrics."""
    given = {word.partition("=")[0] for word in words}
    words = [*(word for word in TINY if word.partition("=")[0] not in given), *words]
    check_with_choices(words)
    (stage,) = plan(words)
    parts = build(stage)
    parts.task.data.setup(device(stage.config.trainer))
    clips = parts.task.automatic_optimization
    trainer = make_trainer(stage.config.trainer, parts.epochs, [], None, clips=clips)
    trainer.fit(parts.task)
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    return {name: value.cpu() for name, value in parts.task.state_dict().items()}, metrics


def together(runs: Sequence[Sequence[str]]) -> list[Any]:
    """What each of some runs that meet ends with."""
    turns = Turns([str(place) for place in range(len(runs))], Meeting())
    ends: list[Any] = [None] * len(runs)

    def train(place: int) -> None:
        with turns.seats[place].taken():
            try:
                ends[place] = fit(runs[place])
            except Exception as error:
                ends[place] = error

    threads = [threading.Thread(target=train, args=(place,)) for place in range(len(runs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ends


def assert_same(one: Result, other: Result, rtol: float = 1e-4, atol: float = 5e-5) -> None:
    """Adam makes whole steps of gradients that are all rounding: some weights differ by more."""
    assert one[0].keys() == other[0].keys()
    for name, values in one[0].items():
        torch.testing.assert_close(values, other[0][name], rtol=rtol, atol=atol)
    assert one[1] == pytest.approx(other[1], rel=rtol)
    assert "train/loss/charbonnier" in one[1]


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> list[tuple[type, int]]:
    """What was stacked, of how many runs."""
    seen: list[tuple[type, int]] = []
    original = grouped.batch

    def batch(offers: Sequence[Any]) -> Any:
        made = original(offers)
        seen.append((type(made), len(offers)))
        return made

    monkeypatch.setattr(grouped, "batch", batch)
    return seen


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["trainer.gradient_clip=0.5", "task.ema_decay=0.9", SUMMED], BatchedSteps),
        (
            [BLOCKS, "trainer.gradient_clip=0.5", "optimizer=adamw", "task.bias_rate=0.1"],
            BatchedBlocks,
        ),
        ([BLOCKS, "task.ema_decay=0.9"], BatchedSteps),
    ],
    ids=["steps", "blocks", "blocks with an average"],
)
def test_runs_end_with_the_weights_and_metrics_of_each_alone(
    words: list[str], kind: type, answered: list[tuple[type, int]]
) -> None:
    runs = [[*run, *words] for run in RUNS]
    ends = together(runs)
    assert answered == [(kind, 3)]  # stacked once, and together ever after
    for run, end in zip(runs, ends, strict=True):
        assert_same(fit(run), end)


@pytest.mark.parametrize("words", [[], [BLOCKS]], ids=["steps", "blocks"])
def test_a_run_whose_loss_is_no_number_ends_and_the_other_goes_on(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Charbonnier.forward

    def forward(self: Charbonnier, prediction: Tensor, target: Tensor) -> Tensor:
        value = original(self, prediction, target)
        return value * float("nan") if self.eps == 0.01 else value

    monkeypatch.setattr(Charbonnier, "forward", forward)
    words = [*words, "trainer.epochs=1"]
    good, bad = together([[*RUNS[0], *words], [*RUNS[2], *words]])
    assert isinstance(bad, NonFiniteLossError)
    assert "charbonnier became nan at iteration 0" in str(bad)
    assert_same(fit([*RUNS[0], *words]), good)


def test_a_run_that_is_shorter_leaves_the_others_to_go_on(
    answered: list[tuple[type, int]],
) -> None:
    runs = [[*RUNS[0], "trainer.epochs=1", "scheduler=constant"], [*RUNS[1], "scheduler=constant"]]
    ends = together(runs)
    assert answered == [(BatchedSteps, 2), (BatchedSteps, 1)]
    for run, end in zip(runs, ends, strict=True):
        assert_same(fit(run), end)


def test_the_tables_of_a_captured_block_give_the_steps_of_each_run_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A CUDA graph's manners on a CPU: capturing changes nothing, replaying runs the steps.

    What it cannot show is whether CUDA would capture them.
    """
    replayed: list[int] = []
    original = Replayed.__init__

    class OnCPU:
        owner: Replayed

        def replay(self) -> None:
            replayed.append(len(self.owner.tables))
            values = self.owner.blocks.train(self.owner.draws, self.owner.tables)
            for mine, value in zip(self.owner.losses, values, strict=True):
                mine.copy_(value)

    def init(self: Replayed, blocks: BatchedBlocks, draws: Draw, tables: Tensor) -> None:
        state = blocks.networks.vector, blocks.adam.first, blocks.adam.second
        before = [values.clone() for values in state]
        original(self, blocks, Draw(*(values.clone() for values in draws)), tables.clone())
        for values, value in zip(state, before, strict=True):
            values.copy_(value)
        self.graph.owner = self  # type: ignore[attr-defined]
        for losses in self.losses:
            losses.fill_(torch.nan)
        for table in (*self.draws, self.tables):  # a replay fills them
            table.zero_()

    @contextmanager
    def captured(graph: OnCPU) -> Iterator[None]:
        yield

    def captures(offers: Sequence[Any]) -> BatchedBlocks:
        blocks = BatchedBlocks(offers)
        blocks.captures = blocks.warm = True
        return blocks

    monkeypatch.setattr(torch.cuda, "CUDAGraph", OnCPU)
    monkeypatch.setattr(torch.cuda, "graph", captured)
    monkeypatch.setattr(Replayed, "__init__", init)
    monkeypatch.setattr(grouped, "pinned", lambda values: values.clone())
    monkeypatch.setattr(grouped, "batch", captures)
    runs = [[*run, BLOCKS] for run in RUNS]
    ends = together(runs)
    assert not [end for end in ends if isinstance(end, Exception)]
    assert replayed == [3, 2, 3, 2]
    for run, end in zip(runs, ends, strict=True):
        assert_same(fit(run), end)


@pytest.mark.gpu
@pytest.mark.parametrize("steps", [1, 20])
def test_200_steps_of_three_runs_on_a_gpu_are_those_of_each_alone(steps: int) -> None:
    words = [
        "model=xlsr", "data.steps_per_epoch=50", "trainer.epochs=4", "trainer.accelerator=cuda",
        f"trainer.steps_per_batch={steps}",
    ]  # fmt: skip
    runs = [[*run, *words] for run in RUNS]
    for run, end in zip(runs, together(runs), strict=True):
        alone = fit(run)
        assert end[1] == pytest.approx(alone[1], rel=1e-2)
