"""A drawing with its own words: every chart of the course can be read aloud, shown on a page, or saved.

Charts are made without pyplot, so none stays open behind a notebook or shows itself twice. Style comes from
matplotlib's settings: slides draw the same charts with larger type, inside ``matplotlib.rc_context``.
"""

import base64
import io
from dataclasses import dataclass
from html import escape
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from course_lib.reproducibility import write_atomically

WIDE, TALL = (10.0, 4.0), (7.0, 7.2)
"""Sizes in inches: for a notebook, with panels side by side; for half a slide, with panels stacked."""

BLUE, ORANGE, GREEN, GREY, PALE = "#2563c9", "#c2410c", "#15803d", "#5c5c66", "#d5d5de"
DOTS_PER_INCH = 135

Size = tuple[float, float]


@dataclass(frozen=True, repr=False)
class Chart:
    """A figure, and what it shows in one or two sentences for those who do not see it."""

    figure: Figure
    summary: str

    def __str__(self) -> str:
        return self.summary

    __repr__ = __str__  # what a page without pictures shows

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.png()).decode()
        width = round(self.figure.get_figwidth() * 90)
        return (
            f'<img src="data:image/png;base64,{data}" alt="{escape(self.summary, quote=True)}" '
            f'style="width: {width}px; max-width: 100%;">'
        )

    def png(self) -> bytes:
        """Return the drawing as PNG."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH)
        return buffer.getvalue()

    def save(self, path: Path, footnote: str = "") -> None:
        """Write the drawing as SVG, whole or not at all; the same data give the same bytes.

        Parameters
        ----------
        footnote
            A line below the drawing, such as the machine and the date of its data.
        """
        import matplotlib

        if footnote:
            self.figure.supxlabel(footnote, fontsize="x-small", color=GREY, x=0.01, ha="left")

        said = {"Date": None, "Title": self.summary, "Description": footnote}

        def write(target: Path) -> None:
            with matplotlib.rc_context({"svg.hashsalt": "course"}):
                self.figure.savefig(target, format="svg", metadata=said)

        write_atomically(path, write)


def panels(count: int, size: Size) -> tuple[Figure, list[Axes]]:
    """Return an empty figure with its axes: beside each other where it is wide, stacked where it is tall."""
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(h_pad=0.12, w_pad=0.1))
    rows, columns = (1, count) if size[0] > size[1] else (count, 1)
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for each in axes:
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes
