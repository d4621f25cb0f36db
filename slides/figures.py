"""Draw the decks' figures from recorded runs: ``python -m slides.figures`` fills ``slides/figures``.

Nothing is measured here. Each figure carries the machine and the date of its run.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib

from course_lib.edge import choose
from course_lib.registry import look_up
from course_lib.widgets.chart import TALL, Chart
from course_lib.widgets.charts import (
    blocks_chart,
    choice_chart,
    comparison_chart,
    latency_chart,
    layer_chart,
    sparsity_chart,
    throughput_chart,
)
from slides.recording import FOLDER, Recording, load_recording

FIGURES = Path(__file__).parent / "figures"

LEGIBLE = {
    "font.size": 16,
    "axes.titlesize": "medium",
    "legend.fontsize": "small",
    "lines.linewidth": 2.5,
    "axes.linewidth": 1.5,
}
"""Type and lines that can be read from the last row."""


def draw_week01(recording: Recording) -> dict[str, Chart]:
    """Return the figures of week 1, name → chart."""
    results = recording.results
    choice = choose(results["candidates"], results["weights"], results["limits"])
    return {
        "week01_latency": latency_chart(results["latency"], TALL),
        "week01_repeats": blocks_chart(results["repeats"], TALL),
        "week01_a_against_a": comparison_chart(results["a_against_a"], TALL),
        "week01_layers": layer_chart(results["layers"], TALL),
        "week01_steps": comparison_chart(results["steps"], TALL),
        "week01_throughput": throughput_chart(results["throughput"], TALL),
        "week01_sparsity": sparsity_chart(results["sparsity"], TALL),
        "week01_kernels": comparison_chart(results["kernels"], TALL),
        "week01_choice": choice_chart(choice, TALL),
    }


DECKS: dict[str, Callable[[Recording], dict[str, Chart]]] = {"week01_measure_first": draw_week01}
"""Deck → the function that draws its figures."""


def draw(deck: str, folder: Path = FIGURES, recorded: Path = FOLDER) -> list[Path]:
    """Draw the figures of a deck as SVG and return their paths.

    Raises
    ------
    UnknownNameError
        If no such deck has figures.
    DataError
        If the deck was never recorded.
    """
    make = look_up(DECKS, "deck", deck)
    recording = load_recording(deck, recorded)
    paths = []
    with matplotlib.rc_context(LEGIBLE):
        for name, chart in make(recording).items():
            paths.append(folder / f"{name}.svg")
            chart.save(paths[-1], footnote=recording.footnote)
    return paths


if __name__ == "__main__":
    for deck in sys.argv[1:] or DECKS:
        print(f"{deck}: {len(draw(deck))} figures drawn")
