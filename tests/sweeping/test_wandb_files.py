"""Sweep files for W&B start this program with words that it takes."""

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from sr_experiments.configuration.compose import check
from sr_experiments.configuration.locations import groups, sweep_dir

FILES = sorted((sweep_dir() / "wandb").glob("*.yaml"))


def test_they_are_no_sweeps_of_hydras() -> None:
    assert len(FILES) > 1
    assert not [name for name in groups()["sweep"] if "wandb" in name]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_agent_starts_this_program_with_words_that_it_takes(file: Path) -> None:
    sweep = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert sweep["method"] in ("grid", "random", "bayes")
    assert sweep["metric"]["name"] in ("val/psnr", "val_int8/psnr")
    for values in choices(sweep["parameters"]):
        command = command_line(sweep["command"], values)
        place = command.index(sys.executable)
        assert command[place + 1 : place + 3] == ["-m", "sr_experiments"]
        config = check(command[place + 3 :])
        assert config.logger.project == "sr_experiments"


def choices(parameters: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every value of a parameter, beside the others' first."""
    ends = {
        key: node.get("values") or [node["min"], node["max"]] for key, node in parameters.items()
    }
    for rest in itertools.zip_longest(*ends.values()):
        yield {
            key: values[0] if value is None else value
            for (key, values), value in zip(ends.items(), rest, strict=True)
        }


def command_line(template: list[str], values: dict[str, Any]) -> list[str]:
    """What W&B's agent would start, by its own functions."""
    words = create_sweep_command_args({"args": {k: {"value": v} for k, v in values.items()}})
    filled = {"${env}": ["/usr/bin/env"], "${interpreter}": [sys.executable]}
    filled |= {f"${{{name}}}": list(given) for name, given in words.items()}
    return [part for word in create_sweep_command(template) for part in filled.get(word, [word])]
