"""A block of steps gives what its steps give one by one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sr_experiments.configuration.compose import check_with_choices
from sr_experiments.configuration.stages import plan
from sr_experiments.errors import UserError
from sr_experiments.tasks import NonFiniteLossError, RegressionTask, capture
from sr_experiments.tasks.capture import CapturedBlocks
from sr_experiments.training.parts import build
from sr_experiments.training.trainer import device, make_trainer

TINY = [
    "data.batch_size=2",
    "data.patch=16",
    "data.steps_per_epoch=7",
    "data.test=[]",
    "trainer.epochs=2",
    "trainer.accelerator=cpu",
    "trainer.gradient_clip=0.5",
]
# Lightning 2.6 asks torch's pytree in a way that torch 2.15 deprecates.
pytestmark = [
    pytest.mark.usefixtures("one_cache"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*in eval mode at the start of training.*"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
]

Result = tuple[dict[str, Tensor], dict[str, float]]


SMALL = ["model=abpn", "model.channels=4", "model.num_blocks=1"]


def make_task(*words: str) -> tuple[RegressionTask, Any]:
    """A task, and a trainer of it without callbacks."""
    if not any(word.startswith("model=") for word in words):
        words = (*SMALL, *words)
    check_with_choices([*TINY, *words])
    (stage,) = plan([*TINY, *words])
    parts = build(stage)
    assert isinstance(parts.task, RegressionTask)
    parts.task.data.setup(device(stage.config.trainer))
    clips = parts.task.automatic_optimization
    return parts.task, make_trainer(stage.config.trainer, parts.epochs, [], None, clips=clips)


def outcome(task: RegressionTask, trainer: Any) -> Result:
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    state = task.state_dict()
    assert task.iteration == trainer.max_epochs * task.data.steps_per_epoch
    rates = {"lr": trainer.optimizers[0].param_groups[0]["lr"]}
    return {name: value.cpu() for name, value in state.items()}, metrics | rates


def fit(*words: str) -> Result:
    task, trainer = make_task(*words)
    trainer.fit(task)
    return outcome(task, trainer)


def assert_same(one: Result, other: Result) -> None:
    assert one[0].keys() == other[0].keys()
    for name, values in one[0].items():
        assert torch.equal(values, other[0][name]), name
    assert one[1] == pytest.approx(other[1], rel=1e-6)
    assert "train/loss/charbonnier" in one[1]


@pytest.mark.parametrize(
    ("steps", "words"),
    [  # the last block of an epoch is shorter, or there is one
        (3, ["task.ema_decay=0.9", "task.bias_rate=0.1", "optimizer=adamw"]),
        (7, ["trainer.precision=bf16-mixed"]),
        (4, ["quantization=qat", "scheduler=plateau"]),
    ],
    ids=["average", "bf16", "qat"],
)
def test_blocks_of_any_length_give_the_weights_and_metrics_of_single_steps(
    steps: int, words: list[str]
) -> None:
    assert_same(fit(*words, f"trainer.steps_per_batch={steps}"), fit(*words))


@pytest.mark.parametrize("accelerator", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_a_resumed_training_in_blocks_goes_on_to_the_same_weights(
    accelerator: str, tmp_path: Path
) -> None:
    words = ["trainer.steps_per_batch=4", "scheduler=cosine", f"trainer.accelerator={accelerator}"]
    whole = fit(*words)
    task, trainer = make_task(*words)
    trainer.fit_loop.max_epochs = 1
    trainer.fit(task)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    task, trainer = make_task(*words)
    trainer.fit(task, ckpt_path=tmp_path / "half.ckpt", weights_only=True)
    resumed = outcome(task, trainer)
    if accelerator == "cpu":
        assert_same(resumed, whole)
    for name, values in whole[0].items():  # cuDNN adds in any order
        torch.testing.assert_close(resumed[0][name], values, rtol=1e-2, atol=1e-4)


def test_a_loss_that_is_no_number_is_named_with_its_iteration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task, trainer = make_task("trainer.steps_per_batch=4")
    loss = task.loss

    def fails(prediction: Tensor, target: Tensor) -> Tensor:
        value: Tensor = type(loss).forward(loss, prediction, target)
        return value * float("nan") if task.iteration == 5 else value

    monkeypatch.setattr(loss, "forward", fails)
    with pytest.raises(NonFiniteLossError, match="charbonnier became nan at iteration 5"):
        trainer.fit(task)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["quantization=qat"], "quantization=qat"),
        (["task.ema_decay=0.9"], "task.ema_decay"),
        (["callbacks=channel_ranker"], "callbacks=channel_ranker"),
        (["data.degradation.share=0.5"], "data.degradation.share"),
    ],
)
def test_what_a_cuda_graph_cannot_hold_is_refused(words: list[str], told: str) -> None:
    task, _ = make_task(*words)
    with pytest.raises(UserError, match=f"{told} changes with every step"):
        task.train_in_blocks(4, None, captured=True)
    task.train_in_blocks(4, None, captured=False)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["task=gan", "trainer.steps_per_batch=4"], "GANTask takes one step per batch"),
        (["trainer.steps_per_batch=0"], "trainer.steps_per_batch=0"),
        (
            ["callbacks=[default,weight_clip]", "trainer.steps_per_batch=2"],
            "callbacks=weight_clip clamps after every step",
        ),
    ],
)
def test_blocks_of_what_has_none_are_refused(words: list[str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        make_task(*words)


def test_an_optimiser_without_a_capturable_step_is_refused() -> None:
    task, _ = make_task("trainer.steps_per_batch=4")
    assert task.blocks is not None
    optimizer = torch.optim.SGD(task.network.parameters(), lr=0.1)
    with pytest.raises(UserError, match="SGD cannot be captured"):
        CapturedBlocks(task, optimizer, task.blocks)


def test_a_set_that_stays_in_its_file_is_refused_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    task, _ = make_task("trainer.steps_per_batch=4")
    assert task.blocks is not None
    optimizer = torch.optim.Adam(task.network.parameters())
    CapturedBlocks(task, optimizer, task.blocks)
    monkeypatch.setattr(RegressionTask, "device", torch.device("cuda"))
    with pytest.raises(UserError, match="more than half of the free device memory"):
        CapturedBlocks(task, optimizer, task.blocks)


def steps_only(self: CapturedBlocks, first: int, count: int) -> None:
    for step in range(first, first + count):
        self.blocks.take(self.blocks.step(self.optimizer, step))
    self.warm = True


@pytest.fixture
def graphs_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A CUDA graph's manners without a GPU: capturing computes nothing, replaying runs the steps.

    What it cannot show is whether CUDA would capture them.
    """
    replayed: list[int] = []

    class OnCPU:
        owner: capture.Graph
        run: Callable[[], Tensor]

        def replay(self) -> None:
            replayed.append(len(self.owner.rates))
            self.owner.losses.copy_(self.run())

    original = capture.Graph.block

    def block(self: capture.Graph, blocks: Any, optimizer: torch.optim.Optimizer) -> Tensor:
        graph = self.graph
        assert isinstance(graph, OnCPU)
        graph.owner, graph.run = self, lambda: original(self, blocks, optimizer)
        before = [parameter.detach().clone() for parameter in blocks.task.network.parameters()]
        state = {
            key: {name: value.clone() for name, value in values.items()}
            for key, values in optimizer.state.items()
        }
        losses = original(self, blocks, optimizer)
        with torch.no_grad():
            for parameter, value in zip(blocks.task.network.parameters(), before, strict=True):
                parameter.copy_(value)
        for key, values in state.items():
            for name, value in values.items():
                optimizer.state[key][name].copy_(value)
        return torch.full_like(losses, torch.nan)

    @contextmanager
    def captured(graph: OnCPU) -> Iterator[None]:
        yield

    class Event:
        def record(self) -> None: ...
        def synchronize(self) -> None: ...

    monkeypatch.setattr(torch.cuda, "CUDAGraph", OnCPU)
    monkeypatch.setattr(torch.cuda, "graph", captured)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(capture, "pinned", lambda values: values.clone())
    monkeypatch.setattr(capture.Graph, "block", block)
    monkeypatch.setattr(CapturedBlocks, "warm_up", steps_only)
    return replayed


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_tables_of_a_captured_block_give_the_steps_of_a_plain_run(
    graphs_on_the_cpu: list[int], precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [f"trainer.precision={precision}", "trainer.epochs=3", "task.bias_rate=0.1"]
    plain = fit(*words)
    task, trainer = make_task(*words, "trainer.steps_per_batch=3")
    monkeypatch.setattr(capture, "CAPTURABLE", "fused")  # torch knows the other on GPUs only
    task.train_in_blocks(3, 0.5, captured=True)
    trainer.fit(task)
    assert graphs_on_the_cpu == [3, 1, 3, 3, 1, 3, 3, 1]  # the very first block warms up
    captured = outcome(task, trainer)
    for name, values in captured[0].items():
        # The learning rate is in single precision there.
        torch.testing.assert_close(values, plain[0][name], rtol=1e-5, atol=1e-6)
    assert captured[1] == pytest.approx(plain[1], rel=1e-4)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_200_captured_steps_have_the_losses_of_200_plain_ones(
    monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    words = [
        "model=xlsr", "data.steps_per_epoch=50", "trainer.epochs=4",
        "trainer.accelerator=cuda", f"trainer.precision={precision}", "scheduler=triangular",
    ]  # fmt: skip
    losses: list[list[float]] = []
    check = RegressionTask.check_finite

    def seen(values: dict[str, Any], iteration: int) -> None:
        if "train/loss" in values:
            losses[-1].append(float(values["train/loss"]))
        check(values, iteration)

    monkeypatch.setattr(RegressionTask, "check_finite", staticmethod(seen))
    results = []
    for steps in (1, 20):
        losses.append([])
        results.append(fit(*words, f"trainer.steps_per_batch={steps}"))
    assert len(losses[0]) == len(losses[1]) == 200
    tolerance = 1e-3 if precision == "32-true" else 2e-2
    assert losses[1] == pytest.approx(losses[0], rel=tolerance)
    assert results[1][1]["lr"] == results[0][1]["lr"]
