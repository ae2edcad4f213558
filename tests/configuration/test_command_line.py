import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from sr_experiments.__main__ import main
from sr_experiments.configuration.application import quote_path
from sr_experiments.configuration.compose import check, compose
from sr_experiments.configuration.locations import config_dir, groups, options, sweep_dir
from sr_experiments.configuration.stages import plan
from sr_experiments.errors import UserError
from sr_experiments.sweeping.grid import axes, grid, left_to_jobs


def outcome(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sr_experiments", *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
    )


def test_help_names_every_group_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    text = capsys.readouterr().out
    group = ""
    listed: dict[str, list[str]] = {}
    for line in text.partition("\nGroups\n")[2].partition("\n\n")[0].splitlines():
        group = line[:20].strip() or group
        listed.setdefault(group, []).extend(line[20:].split())
    assert listed == {group: list(names) for group, names in groups().items()}


def test_help_and_refusals_import_neither_torch_nor_lightning() -> None:
    code = (
        "import sys\n"
        "from sr_experiments.__main__ import main\n"
        "try: main({argv!r})\n"
        "except SystemExit: pass\n"
        "assert not {{'torch', 'lightning'}} & set(sys.modules), sorted(sys.modules)\n"
    )
    for argv in (["--help"], ["model=nothing"], ["model.nothing=1"], ["scale=abc"]):
        subprocess.run([sys.executable, "-c", code.format(argv=argv)], check=True)


def test_a_folder_named_after_overrides_needs_no_quotes(tmp_path: Path) -> None:
    folder = tmp_path / "seed=1,model=xlsr"
    folder.mkdir()
    assert quote_path(f"init_from={folder}") == f'init_from="{folder}"'
    assert compose([quote_path(f"init_from={folder}")]).init_from == str(folder)
    for word in (f"init_from={tmp_path}", f'init_from="{folder}"', "seed=1,2", "-m"):
        assert quote_path(word) == word


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("model=xlrs", "did you mean xlsr"),
        ("modle=xlsr", "did you mean model"),
        ("epochs=3", "did you mean trainer.epochs"),
        ("model.clip_ouput=true", "did you mean model.clip_output"),
        ("experiment=xlsr/photo", "did you mean xlsr/photos"),
        ("trainer.epochs=many", "trainer.epochs=many is not a whole number"),
        ("scale=2.5", "scale=2.5 is not a whole number"),
        ("model.clip_output=3", "model.clip_output=3 is not true or false"),
        ("data=folder", "data.root has no value"),
        ("xlsr", "not of the form key=value"),
        ("init_from=outputs/a=b", "type 'init_from=\"outputs/a=b\"'"),
        ("data.intensity=[1,0.5", "its brackets or quotes do not close"),
    ],
)
def test_a_mistake_is_answered_with_what_to_type(word: str, told: str, tmp_path: Path) -> None:
    result = outcome(word, cwd=tmp_path)
    assert result.returncode == 2
    assert told in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir()), "a refused command leaves nothing behind"


def test_a_sweep_that_does_not_exist_is_answered_with_those_that_do(tmp_path: Path) -> None:
    result = outcome("sweep=clipped", cwd=tmp_path)
    assert result.returncode == 2
    assert "clipped_output" in result.stderr


def test_every_option_of_every_group_composes() -> None:
    for group, names in groups().items():
        if group == "sweep":
            continue
        for name in names:
            inner, _, option = name.rpartition("/")
            if group == "hydra" and inner:
                config = compose([f"{group}/{inner}={option}"], hydra=True)
                assert config.hydra.runtime.choices[f"{group}/{inner}"] == option
            else:
                compose([f"{group}={name}"])


def test_every_stage_of_every_experiment_composes() -> None:
    names = groups()["experiment"]
    assert {"scsrn/paper", "xlsr/photos"} <= set(names)
    for name in names:
        stages = plan([f"experiment={name}", "budget=0.0005"])
        assert [stage.number for stage in stages] == list(range(1, len(stages) + 1))


def test_every_sweep_composes_to_jobs_that_check() -> None:
    for name in groups()["sweep"]:
        if _needs_a_plugin(name):
            with pytest.raises(UserError, match=r"pip install .*sweep"):
                grid([f"+sweeps={name}"])
            continue
        jobs = grid([f"+sweeps={name}"])
        assert len(jobs) > 1
        # A large grid repeats itself: every value of an axis, not every pair of two.
        seen: set[str] = set()
        for job in jobs:
            if not set(job) <= seen:
                check(job)
                seen.update(job)


def _needs_a_plugin(name: str) -> bool:
    """Whether a sweep samples by a plugin that is not installed."""
    samples = "hydra/sweeper: optuna" in (sweep_dir() / f"{name}.yaml").read_text()
    return samples and importlib.util.find_spec("optuna") is None


def test_a_grid_is_the_product_of_itsaxes() -> None:
    jobs = grid(["model=xlsr,espcn", "seed=1,2", "scale=2"])
    assert [sorted(job) for job in jobs] == [
        sorted(["scale=2", model, seed])
        for model in ("model=xlsr", "model=espcn")
        for seed in ("seed=1", "seed=2")
    ]


def test_words_about_what_only_a_sweep_chooses_reach_its_jobs() -> None:
    words = ["+sweeps=minibatch", "task/metric=edges", "task.metric.sigma=2", "scale=2"]
    wanted = ["+sweeps=minibatch", "task/metric=choice(edges)", "task.metric.sigma=choice(2)"]
    assert left_to_jobs(words) == [*wanted, "scale=2"]
    jobs = grid(left_to_jobs(words))
    assert len(jobs) == 3  # seeds
    assert all({"task/metric=edges", "task.metric.sigma=2"} <= set(job) for job in jobs)
    assert check(jobs[0]).task.metric.sigma == 2
    known = ["+sweeps=minibatch", "experiment=minibatch/enlarger", "task/metric=edges"]
    assert left_to_jobs(known) == known


def test_what_is_typed_wins_over_what_a_sweep_fixes() -> None:
    jobs = grid(["+sweeps=precision", "scale=4", "seed=1"])
    assert {check(job).scale for job in jobs} == {4}
    assert axes(jobs) == {"trainer.precision"}


def test_a_job_is_named_by_what_varies_in_its_sweep() -> None:
    assert axes(grid(["model=xlsr,espcn", "seed=1", "scale=2,3"])) == {"model", "scale"}


def test_a_refused_job_of_a_named_sweep_is_said_as_it_is_typed(tmp_path: Path) -> None:
    refused = outcome("sweep=seeds", "data=folder", "data.root=gone", cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: sweep=seeds ")


def test_a_sweep_that_was_refused_leaves_nothing_and_one_that_is_done_is_not_repeated(
    tmp_path: Path,
) -> None:
    words = ["trainer.epochs=1", "data.steps_per_epoch=2", "data.test=[photos:test]"]
    refused = outcome("-m", "model=xlsr,bicubic", *words, cwd=tmp_path)
    assert refused.returncode == 2
    assert "nothing was started" in refused.stderr
    assert not list(tmp_path.iterdir())
    # A flag in the middle is as good as one in front.
    grid = ["seed=1,2", "-m", f"paths.cache_dir={tmp_path / 'cache'}", *words]
    assert outcome(*grid, cwd=tmp_path).returncode == 0
    sweep = tmp_path / "outputs" / "multirun"
    assert {path.name for path in sweep.iterdir() if path.is_dir()} == {"seed=1", "seed=2"}
    assert (sweep / "summary.csv").read_text().count("finished") == 2
    again = outcome(*grid, cwd=tmp_path)
    assert again.stdout.count("finished before") == 2


def test_options_do_not_list_shared_parts() -> None:
    assert not [name for name in options(config_dir() / "data") if name.startswith("base")]


def test_a_value_that_does_not_resolve_is_refused() -> None:
    with pytest.raises(UserError, match="does not resolve"):
        check(["paths.output_dir=${nowhere}"])
