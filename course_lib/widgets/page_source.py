"""The text that an explorer's page runs: what all explorers share, then the explorer's own file.

anywidget sends one script and one style sheet a widget, and scripts from a kernel cannot import each other.
So the shared helpers are put in front of each explorer's own, here and not by a build step.
"""

from pathlib import Path

FOLDER = Path(__file__).parent


def script(name: str) -> str:
    """Return page.js followed by ``name``.js, as one module."""
    return _joined(f"{name}.js", "page.js")


def style(name: str) -> str:
    """Return page.css followed by ``name``.css."""
    return _joined(f"{name}.css", "page.css")


def _joined(own: str, shared: str) -> str:
    return "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in (shared, own))
