from collections import Counter

import pytest
import torch

from sr_experiments.errors import UserError
from sr_experiments.studies.policy import Condition, Policy, Schedule

ORDER = torch.arange(103).flip(0)  # 10 batches of 10; the last 3 pictures fill none


def schedule(policy: Policy, seed: int = 1, epochs: int = 6) -> Schedule:
    return Schedule(ORDER, 10, policy, epochs=epochs, steps=10, seed=seed)


def test_sorted_batches_come_in_order_in_every_epoch_and_leave_the_rest_out() -> None:
    plan = schedule(Policy())
    for epoch in (0, 5):
        places = [plan.place(10 * epoch + step) for step in range(10)]
        assert places == list(range(10))
    assert plan.pictures(0).tolist() == list(range(102, 92, -1))
    assert plan.pictures(19).tolist() == list(range(12, 2, -1))


def test_shuffled_batches_are_the_same_in_another_order_each_epoch() -> None:
    plan = schedule(Policy(shuffle="batches"))
    epochs = [[plan.place(10 * epoch + step) for step in range(10)] for epoch in range(3)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in (*epochs, range(10))}) == 4


def test_each_phase_trains_on_what_it_keeps_for_as_many_steps() -> None:
    policy = Policy([[[0.7, 1.0]], [[0.1, 0.9]], [[0.0, 0.1], [0.9, 1.0]]], "batches")
    plan = schedule(policy)
    seen = [Counter(plan.place(20 * phase + step) for step in range(20)) for phase in range(3)]
    assert set(seen[0]) == {7, 8, 9}
    assert set(seen[1]) == set(range(1, 9))
    assert set(seen[2]) == {0, 9}
    assert all(count.total() == 20 for count in seen)
    # within an epoch each comes as often as another, give or take one
    epoch = Counter(plan.place(step) for step in range(10))
    assert max(epoch.values()) - min(epoch.values()) <= 1


def test_shuffled_pictures_make_new_batches_of_all_that_is_kept() -> None:
    plan = schedule(Policy(shuffle="pictures"))
    epoch = torch.cat([plan.pictures(step) for step in range(10)])
    assert plan.place(3) is None
    assert sorted(epoch.tolist()) == list(range(3, 103))
    assert plan.pictures(0).tolist() != plan.pictures(10).tolist()


def test_pictures_that_are_not_kept_never_train() -> None:
    plan = schedule(Policy([[[0.5, 1.0]]], "pictures"))
    epoch = torch.cat([plan.pictures(step) for step in range(10)])
    assert set(epoch.tolist()) == set(range(3, 53))
    assert set(Counter(epoch.tolist()).values()) == {2}


def test_pictures_meet_the_conditions_of_every_metric_in_every_phase() -> None:
    # Of 103 pictures in descending order, 0 to 2 fill no batch. By itself the second metric's
    # order is ascending and the third's the even numbers first.
    others = {"rising": torch.arange(103), "even": torch.arange(206)[::2] % 103}
    also = {
        "rising": Condition(sum, [[[0.0, 0.5]], [[0.0, 1.0]], [[0.9, 1.0]]]),
        "even": Condition(sum, [[[0.0, 0.505]]]),
    }
    policy = Policy([[[0.25, 1.0]], [[0.0, 0.2]], [[0.0, 1.0]]], "pictures", also)
    plan = Schedule(ORDER, 5, policy, epochs=6, steps=10, others=others)
    epochs = [
        torch.cat([plan.pictures(20 * phase + step) for step in range(20)]) for phase in range(3)
    ]
    # the metric's own order keeps 3 to 77, then 83 to 102, then everything
    assert set(epochs[0].tolist()) == set(range(4, 51, 2))
    assert set(epochs[1].tolist()) == set(range(84, 103, 2))
    assert set(epochs[2].tolist()) == set(range(94, 103, 2))


def test_conditions_that_leave_less_than_a_batch_are_refused() -> None:
    policy = Policy(None, "pictures", {"other": Condition(sum, [[[0.0, 0.05]]])})
    with pytest.raises(UserError, match="keeps 5 pictures in phase 1"):
        Schedule(ORDER, 10, policy, epochs=6, steps=10, others={"other": ORDER})


def test_conditions_are_of_pictures_not_of_batches() -> None:
    with pytest.raises(UserError, match=r"task\.policy\.shuffle=pictures"):
        Policy(None, "batches", {"other": Condition(sum, [[[0.0, 0.5]]])})
    with pytest.raises(UserError, match="0 <= from < to <= 1"):
        Condition(sum, [[[0.5, 0.5]]])


@pytest.mark.parametrize("shuffle", ["batches", "pictures"])
def test_a_batch_is_a_pure_function_of_seed_and_iteration(shuffle: str) -> None:
    policy = Policy([[[0.0, 0.55]]], shuffle)  # type: ignore[arg-type]
    one, same, other = schedule(policy), schedule(policy), schedule(policy, seed=2)
    for iteration in (57, 3, 31):
        assert torch.equal(one.pictures(iteration), same.pictures(iteration))
    draws = [torch.cat([plan.pictures(step) for step in range(30)]) for plan in (one, other)]
    assert not torch.equal(*draws)


@pytest.mark.parametrize(("epochs", "lengths"), [(150, [50, 50, 50]), (10, [4, 3, 3]), (2, [1, 1])])
def test_phases_are_thirds_of_the_epochs(epochs: int, lengths: list[int]) -> None:
    plan = schedule(Policy(), epochs=epochs)
    found = Counter(plan.phase(epoch) for epoch in range(epochs))
    assert list(found.values()) == lengths


@pytest.mark.parametrize(
    ("keep", "shuffle", "message"),
    [
        (None, "images", "task.policy.shuffle=images"),
        ([], "none", "keep=\\[\\]"),
        ([[]], "none", "keeps nothing"),
        ([[[0.5, 0.2]]], "none", "0 <= from < to <= 1"),
        ([[[0.5, 1.2]]], "none", "0 <= from < to <= 1"),
        ([[[0.5]]], "none", "0 <= from < to <= 1"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(keep: object, shuffle: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Policy(keep, shuffle)  # type: ignore[arg-type]


def test_a_policy_that_keeps_no_batch_of_so_few_is_refused() -> None:
    with pytest.raises(UserError, match="keeps none of 10 batches"):
        schedule(Policy([[[0.0, 0.04]]]))
