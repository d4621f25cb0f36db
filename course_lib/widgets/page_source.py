"""The text that an explorer's page runs: what all explorers share, then the explorer's own file.

anywidget sends one script and one style sheet a widget, and scripts from a kernel cannot import each other.
So the shared helpers are put in front of each explorer's own, here and not by a build step: page.js and
page.css for all, visited.js and visited.css for those that list the settings visited.
"""

from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent


def script(*names: str) -> str:
    """Return page.js followed by these scripts, as one module."""
    return _joined("js", names)


def style(*names: str) -> str:
    """Return page.css followed by these style sheets."""
    return _joined("css", names)


def _joined(kind: str, names: Sequence[str]) -> str:
    return "\n".join((FOLDER / f"{name}.{kind}").read_text(encoding="utf-8") for name in ("page", *names))
