"""How fast do the explorers follow a change, on the page?

In Chromium against Voilà, on the depthwise model: key presses on the calibration explorer's sliders, clicks
on the bits of the sensitivity explorer's layers, key presses on the compression explorer's channel slider, on
the temperature explorer's (of residual and tiny), on the block explorer's, on the budget lines of the
architecture map and on the fusion explorer's level, and clicks on the backend board's headings, timed in the
page from the event to the first change that it causes. For channels, blocks and levels it is also timed until
the latency is measured and shown.
(`benchmarks.slider` does this for sparsity and bits.)
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, expect
from tqdm import tqdm

from benchmarks.cli import Target, run
from benchmarks.pages import EXPLORER, WAIT_MS, Server, browser, voila_server, wait_until_exact
from course_lib.widgets import BackendBoard

WATCH = """(event) => {
  const root = document.querySelector('.ce');
  window.started = {};
  window.shown = [];
  // The page's own listener has sent the setting before this one hears of the event.
  root.addEventListener(event, (heard) => { window.started[root.dataset.sent] ??= heard.timeStamp; });
  new MutationObserver(() => {
    const { generation, complete } = root.dataset;
    window.shown.push([Number(generation), performance.now(), complete === 'true']);
  }).observe(root, { attributes: true, attributeFilter: ['data-generation'] });
}"""
"""Note when each change is asked for, and every state that the page shows afterwards."""


def press_keys(page: Page) -> Iterator[None]:
    """Take one bit away after the other, and when there are two left choose the next number of images."""
    bits, images = (page.get_by_role("slider", name=name) for name in ("Activation bits", "Images"))
    images.press("Home")
    while True:
        for key in ("ArrowLeft", "ArrowRight"):
            for _ in range(int(bits.get_attribute("max") or 0)):
                bits.press(key)
                yield
            images.press("ArrowRight")
            yield


def click_bits(page: Page) -> Iterator[None]:
    """Give one layer after the other fewer bits."""
    layers = page.get_by_role("radiogroup")
    for width in ("8", "7", "6", "5", "4"):
        for number in range(layers.count()):
            layers.nth(number).get_by_text(width, exact=True).click()
            yield


def remove_channels(page: Page) -> Iterator[None]:
    """Remove more and more channels, down to a few and back again, by one importance after the other."""
    slider = page.get_by_role("slider", name="Channels removed")
    expect(slider).to_be_enabled(timeout=WAIT_MS)
    multiples = page.get_by_label("Keep multiples of")
    stops = int(slider.get_attribute("max") or 0) // int(slider.get_attribute("step") or 1)
    for importance in ("l1", "l2", "bn_scale", "random"):
        for multiple in ("8", "4", "1"):
            # A new importance shows up with the first channels that it removes.
            slider.press("Home")
            wait_until_exact(page)
            slider.press("ArrowRight")
            wait_until_exact(page)
            page.get_by_label("Least by").select_option(importance)
            multiples.select_option(multiple)
            wait_until_exact(page)
            for _ in range(stops - 1):
                slider.press("ArrowRight")
                yield


def warm_and_cool(page: Page) -> Iterator[None]:
    """Raise the temperature stop by stop, look at the next picture, and lower it again."""
    slider = page.get_by_role("slider", name="Temperature T")
    slider.press("Home")
    while True:
        for key in ("ArrowRight", "ArrowLeft"):
            for _ in range(int(slider.get_attribute("max") or 0)):
                slider.press(key)
                yield
            page.get_by_role("button", name="Next").click()
            wait_until_exact(page)


def change_shapes(page: Page) -> Iterator[None]:
    """Give one block after the other other channels, kernels and resolutions, each shape once."""
    block = page.get_by_label("Block", exact=True)
    inputs, outputs, pixels, kernel = (
        page.get_by_role("slider", name=name, exact=True)
        for name in ("Channels in", "Channels out", "Resolution", "Kernel")
    )
    for name in ("separable", "inverted_residual", "mbconv", "ghost", "standard"):
        block.select_option(name)
        for slider in (inputs, outputs, pixels, kernel):
            slider.press("Home")
        wait_until_exact(page)
        for key in ("ArrowRight", "ArrowLeft"):
            pixels.press("ArrowRight")
            yield
            for _ in range(2):
                kernel.press(key)
                yield
                for slider in (inputs, outputs):
                    slider.press("ArrowRight")
                    yield


def move_lines(page: Page) -> Iterator[None]:
    """Tighten both budget lines in turns, and show the next cost."""
    cost, floor = (page.get_by_role("slider", name=name) for name in ("Budget: most", "Budget: least"))
    axis = page.get_by_label("Cost", exact=True)
    while True:
        for name in ("latency", "macs", "memory"):
            axis.select_option(name)
            wait_until_exact(page)
            for line, key in ((cost, "ArrowLeft"), (floor, "ArrowUp")):
                line.press("End" if line is cost else "Home")
                wait_until_exact(page)
                for _ in range(6):
                    line.press(key)
                    yield


def move_levels(page: Page) -> Iterator[None]:
    """Raise the optimization level of one model after the other, and lower it again."""
    slider = page.get_by_role("slider", name="Optimization level")
    models = page.get_by_label("Model", exact=True)
    for name in models.locator("option").all_inner_texts():
        slider.press("Home")
        wait_until_exact(page)
        # What is prepared for a model once is not what is timed here.
        models.select_option(name)
        wait_until_exact(page)
        for key in ("ArrowRight", "ArrowLeft"):
            for _ in range(int(slider.get_attribute("max") or 0)):
                slider.press(key)
                yield


def sort_rows(page: Page) -> Iterator[None]:
    """Sort the backend board by one figure after the other, both ways, and open the first row's details."""
    while True:
        for heading in ("p50", "Ratio", "Size", "Worst", "Same"):
            for _ in range(2):
                page.get_by_role("columnheader", name=heading).get_by_role("button").click()
                yield
            page.locator(".bb-open").first.click()
            wait_until_exact(page)


def fill_engine_cache() -> None:
    """Build what the backend board shows, which may take minutes and is not what is timed here."""
    board = BackendBoard()
    board.wait(1800)
    board.close()


@dataclass(frozen=True)
class Explorer:
    """A page, the event that its controls send, and a way to change a setting again and again.

    ``timed`` says whether the time until the latency is measured is of interest as well; ``prepare`` is
    called before the page is opened.
    """

    path: str
    event: str
    changes: Callable[[Page], Iterator[None]]
    timed: bool = False
    prepare: Callable[[], None] = lambda: None


EXPLORERS = {
    "calibration": Explorer("voila/render/calibration_explorer.ipynb", "input", press_keys),
    "sensitivity": Explorer("voila/render/sensitivity_explorer.ipynb", "click", click_bits),
    "channels": Explorer("voila/render/compression_explorer.ipynb", "input", remove_channels, timed=True),
    "temperature": Explorer("voila/render/temperature_explorer.ipynb", "input", warm_and_cool),
    "blocks": Explorer("voila/render/block_explorer.ipynb", "input", change_shapes, timed=True),
    "map": Explorer("voila/render/architecture_map.ipynb", "keydown", move_lines),
    "fusion": Explorer("voila/render/fusion_explorer.ipynb", "input", move_levels, timed=True),
    "board": Explorer("voila/render/backend_board.ipynb", "click", sort_rows, prepare=fill_engine_cache),
}


def measure(quick: bool) -> dict[str, Any]:
    """Return the times to each explorer's first result, and how often an older one followed."""
    moves = 12 if quick else 48
    figures: dict[str, Any] = {}
    with voila_server() as server, browser() as chromium:
        for name, explorer in EXPLORERS.items():
            samples, complete, stale = _time_changes(chromium, server, explorer, moves)
            figures[f"{name}_first_p50_ms"] = float(np.percentile(samples, 50))
            figures[f"{name}_first_p95_ms"] = float(np.percentile(samples, 95))
            figures[f"{name}_stale_shown"] = stale
            figures[f"{name}_first_samples_ms"] = samples
            if explorer.timed:
                figures[f"{name}_complete_p50_ms"] = float(np.percentile(complete, 50))
                figures[f"{name}_complete_p95_ms"] = float(np.percentile(complete, 95))
                figures[f"{name}_complete_samples_ms"] = complete
    return figures


def _time_changes(
    chromium: Browser, server: Server, explorer: Explorer, moves: int
) -> tuple[list[float], list[float], int]:
    explorer.prepare()
    page = chromium.new_page()
    page.goto(server.url + explorer.path)
    page.wait_for_selector(EXPLORER, timeout=WAIT_MS)
    # The server now starts a kernel for the next viewer, which is not what is measured here.
    server.wait_until_warm(kernels=2)
    wait_until_exact(page)
    page.evaluate(WATCH, explorer.event)
    changes, counted = explorer.changes(page), []
    for _ in tqdm(range(moves), desc=explorer.path, unit="move", file=sys.stderr):
        next(changes)
        counted.append(page.evaluate("() => document.querySelector('.ce').dataset.sent"))
        wait_until_exact(page)
    started, shown = page.evaluate("() => [window.started, window.shown]")
    page.close()
    first: dict[str, float] = {}
    complete: dict[str, float] = {}
    for generation, at, measured in shown:
        first.setdefault(str(generation), at)
        if measured:
            complete.setdefault(str(generation), at)
    stale = sum(later[0] < earlier[0] for earlier, later in pairwise(shown))
    after = [[seen[sent] - started[sent] for sent in counted if sent in seen] for seen in (first, complete)]
    return after[0], after[1], stale


if __name__ == "__main__":
    run(
        measure,
        targets={
            f"{name}_{key}": target
            for name in EXPLORERS
            for key, target in (("first_p50_ms", Target(high=80)), ("stale_shown", Target(high=0)))
        }
        | {"channels_complete_p50_ms": Target(high=120)},
        threads=2,
    )
