import csv
import json
from pathlib import Path
from statistics import stdev
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sr_experiments.errors import UserError
from sr_experiments.report import main
from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.reporting.tables.minibatch import minibatch_table
from sr_experiments.reporting.tables.minibatch_policies import describe, minibatch_policies
from sr_experiments.reporting.tables.study_runs import find_studies

PLACES = np.arange(20)
ENDS_FAR = 1 + ((PLACES - 9.5) / 9.5) ** 2
HILL = 3 - ENDS_FAR
SORTED = {"keep": None, "shuffle": "none", "also": {}}
RANDOM = {"keep": None, "shuffle": "pictures", "also": {}}
MIDDLE = {"keep": [[[0.1, 0.9]]], "shuffle": "batches"}


def add(
    root: Path,
    name: str,
    seed: int,
    *,
    metric: str = "Edges",
    policy: dict[str, Any] = SORTED,
    matrix: np.ndarray | None = None,
    accuracy: tuple[float, float, float] = (0.2, 0.3, 0.4),
    **config: Any,
) -> None:
    folder = RunFolder(root / name)
    (folder.path / "study").mkdir(parents=True)
    target = {"_target_": f"sr_experiments.studies.measures.{metric}"}
    task = {"metric": target, "policy": policy, "seed": seed}
    folder.write_config({"run_name": name, "seed": seed, "task": task, "data": config})
    study: dict[str, Any] = {"sorted_by": metric.lower(), "score": "val/accuracy"}
    if matrix is not None:
        study["phases"] = [{"phase": 1, "epochs": [1, 1]}, {"phase": 2, "epochs": [2, 2]}]
        exact = torch.from_numpy(matrix)
        tensors = {"distances_exact": exact, "distances_sketch": 1.01 * exact}
        save_file(tensors, folder.path / "study" / "distances.safetensors")
    with (folder.path / "metrics.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "val/accuracy"])
        writer.writerows([epoch, accuracy[epoch // 2]] for epoch in range(6))
    summary = {
        "status": "finished",
        "kind": "gradient_study",
        "model": "some_net",
        "test": {"accuracy": accuracy[2]},
        "study": study,
    }
    folder.write_summary(summary)


def test_seeds_are_joined_each_epoch_divided_by_its_mean(tmp_path: Path) -> None:
    add(tmp_path, "a", 1, matrix=np.stack([ENDS_FAR, HILL]))
    add(tmp_path, "b", 2, matrix=np.stack([1000 * ENDS_FAR, ENDS_FAR]))
    first, second = minibatch_table(find_studies([str(tmp_path)])).rows
    relative = ENDS_FAR / ENDS_FAR.mean()
    assert first["q1"] == pytest.approx(relative[:5].mean())
    assert (first["low"], first["high"]) == pytest.approx((relative[:2].mean(),) * 2)
    assert (first["runs"], first["verdict"], first["seeds"]) == (2, "supported", "2 of 2")
    assert first["finding"] == "batches of both ends are far from the full gradient"
    other = (relative + HILL / HILL.mean()) / 2
    assert second["q1"] == pytest.approx(other[:5].mean())
    assert second["seeds"] == "1 of 2"
    assert first["sketch_error"] == pytest.approx(1)
    assert first["sketch_rank"] == pytest.approx(1)


def test_other_data_are_another_group_and_a_new_empty_key_is_not(tmp_path: Path) -> None:
    matrix = np.stack([ENDS_FAR, HILL])
    add(tmp_path, "a", 1, matrix=matrix, images=10)
    add(tmp_path, "b", 2, matrix=matrix, images=10, test_images=None)
    add(tmp_path, "c", 3, matrix=matrix, images=20)
    table = minibatch_table(find_studies([str(tmp_path)]))
    assert [group[0]["runs"] for group in table.groups] == [2, 1]


def test_a_control_is_judged_where_the_paper_speaks_of_every_metric(tmp_path: Path) -> None:
    add(tmp_path, "a", 1, metric="Shuffled", matrix=np.stack([ENDS_FAR, HILL]))
    first, second = minibatch_table(find_studies([str(tmp_path)])).rows
    assert "verdict" not in first
    assert second["verdict"] == "not supported"


def test_policies_stand_beside_ordinary_training_seed_by_seed(tmp_path: Path) -> None:
    for seed, gain in ((1, 0.1), (2, -0.04), (3, 0.03)):
        add(tmp_path, f"r{seed}", seed, policy=RANDOM, accuracy=(0.1 * seed, 0.3, 0.1 * seed))
        better = (0.1 * seed + 0.2, 0.3, 0.1 * seed + gain)
        add(tmp_path, f"m{seed}", seed, policy=MIDDLE, accuracy=better)
    random, middle = minibatch_policies(find_studies([str(tmp_path)])).rows
    assert random["policy"] == "pictures shuffled"
    assert random["phase_1"] == pytest.approx(0.2)
    assert "gain" not in random
    assert middle["policy"] == "batches shuffled: edges 10-90 %"
    assert middle["gain"] == pytest.approx(0.03)
    assert middle["gain_spread"] == pytest.approx(stdev([0.1, -0.04, 0.03]))
    assert middle["early"] == pytest.approx(0.2)
    assert (middle["sooner"], middle["better"]) == ("3 of 3", "2 of 3")


def test_a_policy_in_words_has_its_phases_and_conditions() -> None:
    policy = {
        "keep": [[[0.75, 1.0]], [[0.0, 0.1], [0.9, 1.0]]],
        "shuffle": "pictures",
        "also": {"edges": {"keep": [[[0.1, 0.9]], [[0.1, 0.9]]]}},
    }
    wanted = "pictures shuffled: intensity 75-100 / 0-10 and 90-100 %, edges 10-90 %"
    assert describe(policy, "intensity") == wanted


@pytest.mark.parametrize("table", ["minibatch", "minibatch_policies"])
def test_a_folder_without_such_runs_is_refused(table: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run in it"):
        main([f"table={table}", f"runs={tmp_path}", f"output={tmp_path}"])
    another = {"status": "finished", "kind": "regression"}
    (tmp_path / "summary.json").write_text(json.dumps(another), encoding="utf-8")
    with pytest.raises(UserError, match=f"sweep={table} has some"):
        main([f"table={table}", f"runs={tmp_path}", f"output={tmp_path}"])
    with pytest.raises(UserError, match="no such folder"):
        main([f"table={table}", f"runs={tmp_path}/none", f"output={tmp_path}"])


def test_the_table_is_written_for_people_and_for_programs(tmp_path: Path) -> None:
    add(tmp_path, "a", 1, matrix=np.stack([ENDS_FAR, HILL]))
    main(["table=minibatch", f"runs={tmp_path}", f"output={tmp_path / 'reports'}"])
    (row, _) = csv.DictReader((tmp_path / "reports" / "minibatch.csv").read_text().splitlines())
    assert (row["metric"], row["verdict"]) == ("edges", "supported")
    assert "not supported" in (tmp_path / "reports" / "minibatch.md").read_text()
