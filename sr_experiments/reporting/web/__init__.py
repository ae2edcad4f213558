"""Style and script that pages carry with them."""

import base64
import hashlib
from importlib.resources import files

from markupsafe import Markup


def asset(*names: str) -> Markup:
    """The files of this folder, one after the other, for a ``<style>`` or a ``<script>``."""
    folder = files("sr_experiments.reporting.web")
    return Markup("\n".join((folder / name).read_text(encoding="utf-8") for name in names))


def policy(script: str) -> str:
    """What a page may load and run: its own pictures, its own style, this script and no other.

    A page shows text out of folders that strangers may have written. It is escaped; with this,
    a browser also refuses every script that is not ours.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    )
