from collections import Counter

import pytest
import torch

from sr_experiments.errors import UserError
from sr_experiments.studies.policy import Policy, Schedule

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
    assert epochs[0] != epochs[1] != epochs[2] != list(range(10))


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
