"""``python -m sr_experiments.doctor``: versions, hardware, data and weights at hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sr_experiments.configuration.entry import run_verb
from sr_experiments.configuration.options import CACHE_DIR, DATA_DIR
from sr_experiments.configuration.verbs import parse


@dataclass
class Options:
    """Print versions, hardware, and which data, weights and extras are here or missing.

      python -m sr_experiments.doctor [data_dir=...] [cache_dir=...]

    It changes nothing and always ends well: a problem is a line of its answer.

    data_dir   folder of the data sets (SR_DATA_DIR)
    cache_dir  packed and downloaded sets (SR_CACHE_DIR); null: the user's cache folder
    """

    data_dir: str | None = DATA_DIR
    cache_dir: str | None = CACHE_DIR


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command line."""
    options = parse(Options, argv)
    from rich.console import Console
    from rich.text import Text

    from sr_experiments.reporting.diagnosis import diagnose

    data_dir = Path(options.data_dir).expanduser() if options.data_dir else None
    cache_dir = Path(options.cache_dir).expanduser() if options.cache_dir else None
    console = Console(highlight=False)
    for title, lines in diagnose(data_dir, cache_dir).items():
        console.print(Text(title, "bold"))
        width = max((len(line.name) for line in lines), default=0)
        for line in lines:
            mark = Text("  ok  ", "green") if line.good else Text("  --  ", "yellow")
            # Unwrapped, so that the commands in it can be copied.
            console.print(mark + Text(f"{line.name:<{width}}  {line.text}"), soft_wrap=True)


if __name__ == "__main__":
    run_verb(main)
