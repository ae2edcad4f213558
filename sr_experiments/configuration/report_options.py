"""What ``python -m sr_experiments.report`` can be asked for, and what it refuses."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from sr_experiments.configuration.options import DataOptions
from sr_experiments.errors import UserError


@dataclass
class Options(DataOptions):
    """Tables of the networks and of the papers, with our figures beside the published ones.

      python -m sr_experiments.report table=zoo
      python -m sr_experiments.report table=zoo scale=2 models=[xlsr,abpn] repeats=30
      python -m sr_experiments.report table=xlsr_1
      python -m sr_experiments.report table=xlsr_4 runs=[outputs/xlsr-x3,outputs/espcn-x3]
      python -m sr_experiments.report table=mobile_ai_2022 runs=outputs/zoo
      python -m sr_experiments.report figure=xlsr_4 runs=outputs/zoo data=[photos:test,set14]
      python -m sr_experiments.report table=quantization runs=outputs/quantization
      python -m sr_experiments.report table=sweep runs=outputs/zoo
      python -m sr_experiments.report table=glasses runs=[outputs/glasses_folds]
      python -m sr_experiments.report table=minibatch runs=[outputs/minibatch]
      python -m sr_experiments.report figure=glasses_11 runs=outputs
      python -m sr_experiments.report figure=side_by_side runs=[first_run,second_run] data=photos
      python -m sr_experiments.report table=swift_srgan_2 runs=outputs/swift_srgan-small
      python -m sr_experiments.report table=swift_srgan_3 repeats=30 device=cuda
      python -m sr_experiments.report runs=outputs/xlsr-x3/2026-11-21_10-00-00
      python -m sr_experiments.report runs=[outputs/zoo,outputs/xlsr-x3]
      python -m sr_experiments.report runs=[first_run,second_run] data=[set5,set14] pictures=5

    table          zoo: every network of conf/model with parameters, operations, size, time and
                   receptive field; xlsr_1 to xlsr_5: the tables of the XLSR paper;
                   quantization: what each mode costs, over seeds;
                   mobile_ai_2022: table 1 of the challenge's report; sweep: every job of the
                   sweep whose folder is runs=; glasses: the tables of the glasses paper;
                   minibatch, minibatch_policies: the mini-batch paper's findings, and training on
                   the batches that it recommends
                   swift_srgan_2, swift_srgan_3: PSNR, time and memory of the Swift-SRGAN paper;
                   FP16 is scored now on the sets at hand, unless the run did
    figure         xlsr_4: crops where INT8 changes colours, as figure 4 of the XLSR paper;
                   side_by_side: low-res, the runs' networks in FP32 and the original;
                   glasses_10, glasses_11: the glasses paper's curves of loss and accuracy, over
                   100 epochs and of its three models
    runs           run folder or [folders], also of many runs, such as a sweep's. Without table and
                   figure: of one run, its report.html is made again; of several, one page of them
                   all, and their table as .csv, .md and .tex; of two, picture by picture
    models         only these networks, for table=zoo and swift_srgan_3
    scale          enlargement, for table=zoo
    repeats        timed runs of each network, for table=zoo and mobile_ai_2022, where 0 times
                   nothing, and swift_srgan_3
    patience       seconds for the runs of a network at a size, of which there is one at least and
                   at most repeats, for swift_srgan_3
    limit          seconds beyond which a 540p frame is left out, by what 270p took; null: none
    device         cpu or cuda, for swift_srgan_3
    data           set or [sets] of the figure, or that the runs of the page are scored on now; or
                   the one that the runs of mobile_ai_2022 and xlsr_3 were tested on; null: div2k,
                   or what they have in common, or what each run kept
    pictures       strips of each set, the worst first, for the figure; or in the page's slider
    root           folder of images that data=folder means
    threads        CPU threads; null: all
    output         folder; tables write <table>.csv, .md, .tex and .html over earlier ones
    data_dir       folder of the data sets (SR_DATA_DIR)
    cache_dir      packed and downloaded sets (SR_CACHE_DIR); null: the user's cache folder
    """

    table: str | None = None
    figure: str | None = None
    runs: Any = None
    models: Any = None
    scale: int = 3
    repeats: int = 10
    patience: float = 60.0
    limit: float | None = None
    device: str = "cpu"
    data: Any = None
    pictures: int = 3
    threads: int | None = None
    output: str = "outputs/reports"


PAGE = {"runs", "data", "root", "pictures"}
COMMON = {"threads", "output", "data_dir", "cache_dir"}
TABLES = {
    "zoo": {"models", "scale", "repeats"},
    "xlsr_1": set[str](),
    "xlsr_2": {"runs"},
    "xlsr_3": {"runs", "data"},
    "xlsr_4": {"runs"},
    "xlsr_5": {"runs"},
    "quantization": {"runs"},
    "mobile_ai_2022": {"runs", "data", "root", "repeats"},
    "swift_srgan_2": {"runs"},
    "swift_srgan_3": {"models", "repeats", "patience", "limit", "device"},
    "sweep": {"runs"},
    "glasses": {"runs"},
    "minibatch": {"runs"},
    "minibatch_policies": {"runs"},
}
FIGURES = {
    "xlsr_4": {"runs", "data", "root", "pictures"},
    "side_by_side": {"runs", "data", "root", "pictures"},
    "glasses_10": {"runs"},
    "glasses_11": {"runs"},
}


def check(options: Options) -> None:
    """Refuse unknown tables, and options that the one asked for has no use for.

    Raises:
        UserError: Naming the key.
    """
    if options.table is not None and options.figure is not None:
        raise UserError("table= and figure= are made one at a time")
    for key, value, known in (
        ("table", options.table, TABLES),
        ("figure", options.figure, FIGURES),
    ):
        if value is not None and value not in known:
            raise UserError(f"{key}={value} does not exist\n  known: {', '.join(known)}")
    wanted = PAGE
    asked = "runs="
    if options.table is not None:
        wanted, asked = TABLES[options.table], f"table={options.table}"
    elif options.figure is not None:
        wanted, asked = FIGURES[options.figure], f"figure={options.figure}"
    elif options.runs is None:
        raise UserError(
            f"say what: table={'|'.join(TABLES)}, figure={'|'.join(FIGURES)}, or runs=<folder>"
        )
    if "runs" in wanted and options.figure is not None and options.runs is None:
        raise UserError(f"{asked} shows what networks do: name their runs with runs=")
    for field in fields(Options):
        if field.name in {"table", "figure", *COMMON, *wanted}:
            continue
        if getattr(options, field.name) != field.default:
            raise UserError(f"{field.name}= is not for {asked}")
    for key, least in (("repeats", 0), ("pictures", 1), ("threads", 1), ("scale", 2)):
        value = getattr(options, key)
        if value is not None and value < least:
            raise UserError(f"{key}={value} is below {least}")
    if Path(options.output).expanduser().is_file():
        raise UserError(f"output={options.output} is a file; name a folder")


def names(key: str, value: Any) -> list[str] | None:
    """One name or several, as typed.

    Raises:
        UserError: It is neither.
    """
    if value is None:
        return None
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found) or not found:
        raise UserError(f"{key}={value} is not a name or a list of names, such as [a,b]")
    return found
