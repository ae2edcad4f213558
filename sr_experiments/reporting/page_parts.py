"""What the pages of all runs share."""

import base64
import json
import shlex

from markupsafe import Markup

from sr_experiments.reporting.run_folder import RunFolder
from sr_experiments.reporting.wording import counted

STYLE = Markup("""\
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; } caption { text-align: left; padding-bottom: .4rem; }
th, td { padding: .3rem .8rem; text-align: right; border-bottom: 1px solid #8884; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; display: block; background: #fff; border-radius: 4px; }
figure { margin: 0 0 1.2rem; } figcaption { font-size: .9rem; opacity: .8; }
code, pre { font: 14px/1.4 ui-monospace, monospace; } pre { overflow-x: auto; }
.facts span { display: inline-block; margin-right: 1.6rem; }
.facts b { font-size: 1.2rem; }
""")


def embed(data: bytes, kind: str) -> str:
    """A picture as the address of an ``<img>``."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def command(folder: RunFolder) -> str:
    """What was typed after ``python -m sr_experiments``."""
    file = folder.path / "overrides.yaml"
    if not file.is_file():
        return ""
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    # Quoted: who copies the line must not run what a stranger wrote behind a semicolon.
    return shlex.join(line.removeprefix("- ") for line in lines)


def machine(folder: RunFolder) -> str:
    """Hardware and versions in a line."""
    try:
        facts = json.loads((folder.path / "environment.json").read_text(encoding="utf-8"))
        versions = ", ".join(f"{name} {value}" for name, value in facts["versions"].items())
        return f"{facts['cpu']['model']}, {counted(facts['cpu']['cores'], 'core')}; {versions}"
    except (OSError, ValueError, KeyError, TypeError):
        return "environment.json cannot be read"
