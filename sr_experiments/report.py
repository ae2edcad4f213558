"""``python -m sr_experiments.report``: tables, figures and pages of many networks."""

import math
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sr_experiments.configuration.entry import run_verb
from sr_experiments.configuration.options import set_list
from sr_experiments.configuration.report_options import Options, check, names
from sr_experiments.configuration.verbs import parse
from sr_experiments.errors import UserError, blaming

if TYPE_CHECKING:
    from sr_experiments.reporting.comparison.members import Member
    from sr_experiments.reporting.tables.measured import Entry
    from sr_experiments.reporting.tables.table import Table
    from sr_experiments.reporting.tables.trained import TrainedRun


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command line."""
    words = list(sys.argv[1:] if argv is None else argv)
    options = parse(Options, words)
    check(options)
    if options.runs is None:
        _deliver(options, words)
        return
    # Folders may come from elsewhere, and their files may have been changed by hand.
    named = ", ".join(names("runs", options.runs) or [])
    blaming(
        f"runs={named}: a file there does not hold what it should",
        lambda: _deliver(options, words),
    )


def _deliver(options: Options, words: Sequence[str]) -> None:
    from sr_experiments.reporting.environment import usable_cores
    from sr_experiments.reporting.tables.trained import find_runs

    if (options.figure or "").startswith("glasses"):
        _glasses_figure(options)
        return
    if options.table in OF_SUMMARIES:
        OF_SUMMARIES[options.table](options, words)
        return
    if options.table is None and options.figure is None:
        _page(options, words)
        return
    runs, unfinished = find_runs(names("runs", options.runs) or [])
    threads = options.threads or usable_cores()
    if options.figure is not None:
        _figure(options, runs, threads)
        return
    import torch
    from rich.console import Console

    torch.set_num_threads(threads)
    console = Console(highlight=False)
    with console.status("") as status:
        table = _table(options, runs, unfinished, threads, lambda doing: status.update(doing))
    _write(table, options, words)


def _write(table: "Table", options: Options, words: Sequence[str]) -> None:
    """Print a table and write its files."""
    from sr_experiments.reporting.tables.render import deliver

    deliver(table, _command(words), Path(options.output).expanduser())


def _command(words: Sequence[str]) -> str:
    return f"python -m sr_experiments.report {shlex.join(words)}"


@cache
def _entry(name: str) -> "Entry | None":
    """A network at x3; None where there is no such option."""
    from sr_experiments.configuration.locations import groups
    from sr_experiments.configuration.networks import network

    return network(name, 3) if name in groups()["model"] else None


def _table(
    options: Options,
    runs: "list[TrainedRun]",
    unfinished: dict[str, str],
    threads: int,
    advance: Callable[[str], None],
) -> "Table":
    if options.table == "zoo":
        from sr_experiments.configuration.networks import networks
        from sr_experiments.reporting.tables.zoo import zoo_table

        advance("composing")
        entries = list(networks(options.scale, names("models", options.models)))
        repeats = options.repeats
        return zoo_table(entries, options.scale, threads=threads, repeats=repeats, advance=advance)
    if options.table == "xlsr_1":
        from sr_experiments.reporting.tables.xlsr_1 import xlsr_1

        return xlsr_1(_entry)
    places = {"data_dir": options.data_dir, "cache_dir": options.cache_dir}
    if options.table == "swift_srgan_2":
        from sr_experiments.reporting.tables import swift_srgan_2

        half = swift_srgan_2.score(runs, threads=threads, **places, advance=advance)
        return swift_srgan_2.table(runs, half, unfinished)
    if options.table == "swift_srgan_3":
        return _swift_srgan_3(options, threads, advance)
    if options.table == "xlsr_4":
        from sr_experiments.reporting.tables import xlsr_4

        return xlsr_4.table(xlsr_4.score(runs, _entry, **places, advance=advance), runs, unfinished)
    from sr_experiments.reporting.tables import mobile_ai, xlsr_int8
    from sr_experiments.reporting.tables.quantization import quantization_table

    if options.table == "quantization":
        return quantization_table(runs, unfinished)
    if options.table == "xlsr_2":
        return xlsr_int8.xlsr_2(runs, unfinished)
    if options.table == "xlsr_5":
        return xlsr_int8.xlsr_5(runs, unfinished)
    sets = set_list(options.data)
    if sets is not None and len(sets) > 1:
        raise UserError(f"data=: table={options.table} has one column of PSNR, so one set")
    if options.table == "xlsr_3":
        spec = sets[0] if sets else mobile_ai.common_set(runs)
        return xlsr_int8.xlsr_3(runs, unfinished, spec.partition(":")[0])
    chosen = mobile_ai.choose_runs(runs, _entry)
    used = [item.run for item in chosen.values() if item.run is not None]
    spec = sets[0] if sets else mobile_ai.common_set(used)
    advance(spec)
    bicubic = mobile_ai.bicubic_on(spec, **places, root=options.root)
    times = mobile_ai.time_files(chosen, threads, options.repeats, advance)
    return mobile_ai.table(chosen, spec, bicubic, runs, unfinished, times, threads)


def _swift_srgan_3(options: Options, threads: int, advance: Callable[[str], None]) -> "Table":
    from sr_experiments.configuration.networks import network
    from sr_experiments.reporting.tables import swift_srgan_2, swift_srgan_3

    return swift_srgan_3.table(
        lambda name: network(name, swift_srgan_2.SCALE),
        device=options.device,
        threads=threads,
        repeats=max(1, options.repeats),
        patience=options.patience,
        limit=math.inf if options.limit is None else options.limit,
        models=names("models", options.models),
        advance=advance,
    )


def _glasses(options: Options, words: Sequence[str]) -> None:
    from sr_experiments.reporting.tables.glasses import find_classifiers, glasses_table

    table = glasses_table(find_classifiers(names("runs", options.runs) or []))
    _write(table, options, words)


def _minibatch(options: Options, words: Sequence[str]) -> None:
    from sr_experiments.reporting.tables.minibatch import minibatch_table
    from sr_experiments.reporting.tables.minibatch_policies import minibatch_policies
    from sr_experiments.reporting.tables.study_runs import find_studies

    make = minibatch_table if options.table == "minibatch" else minibatch_policies
    table = make(find_studies(names("runs", options.runs) or []))
    _write(table, options, words)


def _glasses_figure(options: Options) -> None:
    from sr_experiments.reporting.classification import curves
    from sr_experiments.reporting.tables.glasses import find_classifiers

    runs = find_classifiers(names("runs", options.runs) or [])
    drawn = (curves.overfitting_figure if options.figure == "glasses_10" else curves.models_figure)(
        runs
    )
    path = Path(options.output).expanduser() / f"figure_{options.figure}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn.savefig(path, dpi=150, metadata={"Software": None})
    print(f"written: {path}")


def _sweep(options: Options, words: Sequence[str]) -> None:
    from sr_experiments.reporting.tables.sweep import sweep_table

    folders = names("runs", options.runs)
    if folders is None or len(folders) > 1:
        raise UserError("table=sweep is of one sweep: name its folder with runs=outputs/<name>")
    _write(sweep_table(Path(folders[0]).expanduser()), options, words)


OF_SUMMARIES = {
    "sweep": _sweep,
    "glasses": _glasses,
    "minibatch": _minibatch,
    "minibatch_policies": _minibatch,
}


def _figure(options: Options, runs: "list[TrainedRun]", threads: int) -> None:
    from sr_experiments.reporting import false_colours, side_by_side
    from sr_experiments.reporting.evaluation import default_sets, load_sets

    scale = false_colours.common_scale(runs)
    coloured = options.figure == "xlsr_4"
    runtimes = (
        false_colours.open_runs(runs, threads) if coloured else side_by_side.open_networks(runs)
    )
    cut = false_colours.false_colours if coloured else side_by_side.side_by_side
    specs = set_list(options.data)
    sets, missing = load_sets(
        specs or ["div2k:val", *(name for name in default_sets() if name != "div2k:val")],
        scale,
        optional=specs is None,
        data_dir=options.data_dir,
        cache_dir=options.cache_dir,
        root=options.root,
    )
    for name, pairs in sets.items():
        crops = sorted(
            cut(pairs, runtimes, scale),
            key=lambda item: item.fault,
            reverse=True,
        )[: options.pictures]
        folder = Path(options.output).expanduser() / f"figure_{options.figure}"
        paths = false_colours.write_crops(crops, name.partition(":")[0], folder)
        for path, item in zip(paths, crops, strict=True):
            fault = f" (mean colour off by {item.fault:.1f} of 255)" if coloured else ""
            print(f"written: {path}{fault}")
    for name in missing:
        print(f"not at hand: {name.partition(':')[0]}")


def _page(options: Options, words: Sequence[str]) -> None:
    """One run's own page again, or one page of several."""
    from sr_experiments.reporting.comparison.members import gather
    from sr_experiments.reporting.comparison.page import deliver_page

    folders = names("runs", options.runs) or []
    members = gather(folders)
    if len(members) == 1 and options.data is None:
        from sr_experiments.reporting.page import write_page

        (member,) = members
        if not member.finished:
            status = member.summary.get("status", "damaged")
            raise UserError(
                f"runs={folders[0]} is {status}: the command that made it goes on where it was"
            )
        print(f"written: {write_page(member.folder)}")
        return
    if options.data is not None:
        members = _scored(options, members)
    title = ", ".join(Path(name).expanduser().resolve().name for name in folders)
    output = Path(options.output).expanduser()
    deliver_page(members, "report", title, _command(words), output, options.pictures)


def _scored(options: Options, members: "list[Member]") -> "list[Member]":
    """The finished ones on the sets of ``data=``."""
    from functools import partial

    from rich.console import Console

    from sr_experiments.configuration.options import SourceOptions
    from sr_experiments.configuration.trained import find
    from sr_experiments.deploy.scoring import predict_image
    from sr_experiments.reporting.comparison.measured import measure
    from sr_experiments.reporting.evaluation import load_sets

    specs = set_list(options.data) or []
    places = {"data_dir": options.data_dir, "cache_dir": options.cache_dir, "root": options.root}
    done = []
    with Console(highlight=False).status("") as status:
        for member in members:
            if not member.finished or member.scale is None:
                done.append(member)
                continue
            trained = find(SourceOptions(run=str(member.folder.path)), threads=options.threads)
            runtimes = {"fp32": trained.open("torch")}
            runtimes |= {kind: trained.open(kind) for kind in trained.files if kind != "fp32"}
            predictors = {kind: partial(predict_image, run) for kind, run in runtimes.items()}
            sets, _ = load_sets(specs, member.scale, optional=False, **places)
            done.append(
                measure(member, predictors, sets, options.pictures, lambda it: status.update(it))
            )
    return done


if __name__ == "__main__":
    run_verb(main)
