"""Stages are the run's configuration with words of their own, below those that a user typed."""

import pytest

from sr_experiments.configuration.stages import changes, plan
from sr_experiments.errors import UserError


def entry(name: str, *words: str, **further: object) -> str:
    quoted = ", ".join(f"'{word}'" for word in words)
    keys = "".join(f", {key}: {value}" for key, value in further.items())
    return f"{{name: {name}{keys}, overrides: [{quoted}]}}"


def stages(*entries: str) -> str:
    return f"stages=[{', '.join(entries)}]"


TWO = stages(
    entry("l1", "loss=l1", "scheduler=cosine", "scheduler.warmup=0.1", "data.patch=48", epochs=8),
    entry("tuned", "loss=mse", "optimizer.lr=1e-5", "quantization=none", epochs=3),
)


def test_a_run_without_stages_has_one_that_is_the_run() -> None:
    (only,) = plan(["model=espcn", "data.patch=20"])
    assert only.single
    assert only.config.data.patch == 20
    assert only.choices["model"] == "espcn"
    assert not only.model_keys


def test_each_stage_has_its_own_groups_and_keys_and_the_runs_for_the_rest() -> None:
    first, second = plan([TWO, "data.batch_size=4"])
    assert (first.number, first.name, second.number, second.name) == (1, "l1", 2, "tuned")
    assert (first.choices["loss"], second.choices["loss"]) == ("l1", "mse")
    assert (first.choices["scheduler"], second.choices["scheduler"]) == ("cosine", "triangular")
    assert (first.config.trainer.epochs, second.config.trainer.epochs) == (8, 3)
    assert (first.config.data.patch, second.config.data.patch) == (48, 32)
    assert (first.config.optimizer.lr, second.config.optimizer.lr) == (1e-3, 1e-5)
    assert (first.config.data.batch_size, second.config.data.batch_size) == (4, 4)


@pytest.mark.parametrize(
    ("typed", "key", "values"),
    [
        ("data.patch=16", "data.patch", (16, 16)),
        ("loss=charbonnier", "loss._target_", ("sr_experiments.losses.Charbonnier",) * 2),
        ("trainer.epochs=2", "trainer.epochs", (2, 2)),
        # An option that has no warmup at all; the stage's word for it goes with its group.
        ("scheduler=triangular", "scheduler._target_", ("sr_experiments.optim.Triangular",) * 2),
        ("debug=fast", "trainer.epochs", (2, 2)),
        ("debug=profile", "callbacks", ({}, {})),
    ],
)
def test_what_the_user_types_wins_in_every_stage(
    typed: str, key: str, values: tuple[object, object]
) -> None:
    words = [TWO.replace("'quantization=none'", "'quantization=none', 'callbacks=default'"), typed]
    root, _, rest = key.partition(".")
    found = []
    for stage in plan(words):
        node = stage.resolved[root]
        found.append(node[rest] if rest else node)
    assert tuple(found) == values


def test_a_chosen_group_leaves_the_stages_words_for_keys_that_it_has() -> None:
    first, _ = plan([TWO, "data=set5"])
    assert first.choices["data"] == "set5"
    assert first.config.data.patch == 48


def test_a_typed_value_of_an_option_goes_to_the_stages_that_have_it() -> None:
    small = "experiment=swift_srgan/small"  # its first stage has loss=l1
    first, second = plan([small, "loss.terms.pixels.weight=7", "loss.adversarial.weight=0.5"])
    assert first.resolved["loss"] == {"_target_": "sr_experiments.losses.L1"}
    assert second.config.loss.terms.pixels.weight == 7
    assert second.config.loss.adversarial.weight == 0.5
    _, second = plan([small, "loss.terms.pixels.weight=7", "data=t91_general100_bsds200"])
    assert second.config.loss.terms.pixels.weight == 7
    assert (second.choices["data"], second.config.data.batch_size) == ("t91_general100_bsds200", 8)
    with pytest.raises(UserError, match=r"unknown key loss\.terms\.pixel\b"):
        plan([small, "loss.terms.pixel.weight=7"])


def test_options_of_the_network_that_a_stage_sets_are_known_as_its_own() -> None:
    line = stages(
        entry("fp32", "model.activation=silu", "quantization=none"),
        entry("qat", "model.activation=relu", collapse="true"),
    )
    first, second = plan(["model=skipskip", line])
    assert first.model_keys == second.model_keys == ("model.activation",)
    assert (first.config.model.activation, second.config.model.activation) == ("silu", "relu")
    assert (first.collapse, second.collapse) == (False, True)
    typed = plan(["model=skipskip", line, "model.activation=relu"])
    assert [stage.model_keys for stage in typed] == [(), ()]


def test_what_a_stage_changes_is_told_in_full() -> None:
    first, second = plan([TWO])
    base = first.resolved
    told = changes(base, second)
    assert told["loss"] == {"_target_": "sr_experiments.losses.MSE"}
    assert told["trainer"]["epochs"] == 3
    assert "model" not in told
    assert changes(base, first) == {}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("stages=5", "stages is not a list"),
        ("stages=[]", "stages is not a list"),
        ("stages=[fp32]", "entry 1 is no mapping"),
        ("stages=[{epochs: 3}]", "entry 1 needs a name"),
        ("stages=[{name: a/b}]", "entry 1 needs a name"),
        (stages(entry("a"), entry("a")), "two are called a"),
        ("stages=[{name: a, epoch: 3}]", "stage a: unknown key epoch"),
        ("stages=[{name: a, collapse: 1}]", "stage a: collapse=1 is not true or false"),
        ("stages=[{name: a, overrides: loss}]", "stage a: overrides is not a list"),
        ("stages=[{name: a, test: ptq}]", "stage a: test is not a list of modes"),
        ("stages=[{name: a, test: [int5]}]", "stage a: quantization=int5 does not exist"),
        (stages(entry("a"), entry("b", "loss=l7")), "stage b: loss=l7 does not exist"),
        (stages(entry("a", "loss.epsilon=1")), "stage a: unknown key loss.epsilon"),
        (stages(entry("a", "data.patch=large")), "stage a: data.patch=large is not a whole"),
        (stages(entry("a", epochs="many")), "stage a: trainer.epochs=many is not a whole"),
        (stages(entry("a", "seed")), "stage a: 'seed' is not of the form key=value"),
        (stages(entry("a", "paths.output_dir=x")), "paths is of the whole run"),
        (stages(entry("a", "model=espcn")), "one network goes through all stages"),
    ],
)
def test_a_mistake_in_a_stage_is_refused_with_its_name(line: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        plan([line])
