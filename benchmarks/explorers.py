"""How fast do the calibration and the sensitivity explorer follow a change, on the page?

In Chromium against Voilà, on the depthwise model: key presses on a slider of the one, clicks on the bits of
the other's layers, timed in the page from the event to the first change that it causes. (`benchmarks.slider`
does this for the compression explorer.)
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page
from tqdm import tqdm

from benchmarks.cli import Target, run
from benchmarks.pages import EXPLORER, WAIT_MS, Server, browser, voila_server, wait_until_exact

WATCH = """(event) => {
  const root = document.querySelector('.ce');
  window.started = {};
  window.shown = [];
  // The page's own listener has sent the setting before this one hears of the event.
  root.addEventListener(event, (heard) => { window.started[root.dataset.sent] = heard.timeStamp; });
  new MutationObserver(() => window.shown.push([Number(root.dataset.generation), performance.now()]))
    .observe(root, { attributes: true, attributeFilter: ['data-generation'] });
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


@dataclass(frozen=True)
class Explorer:
    """A page, the event that its controls send, and a way to change a setting again and again."""

    path: str
    event: str
    changes: Callable[[Page], Iterator[None]]


EXPLORERS = {
    "calibration": Explorer("voila/render/calibration_explorer.ipynb", "input", press_keys),
    "sensitivity": Explorer("voila/render/sensitivity_explorer.ipynb", "click", click_bits),
}


def measure(quick: bool) -> dict[str, Any]:
    """Return the times to the first result of both explorers, and how often an older one followed."""
    moves = 12 if quick else 48
    figures: dict[str, Any] = {}
    with voila_server() as server, browser() as chromium:
        for name, explorer in EXPLORERS.items():
            samples, stale = _time_changes(chromium, server, explorer, moves)
            figures[f"{name}_first_p50_ms"] = float(np.percentile(samples, 50))
            figures[f"{name}_first_p95_ms"] = float(np.percentile(samples, 95))
            figures[f"{name}_stale_shown"] = stale
            figures[f"{name}_first_samples_ms"] = samples
    return figures


def _time_changes(
    chromium: Browser, server: Server, explorer: Explorer, moves: int
) -> tuple[list[float], int]:
    page = chromium.new_page()
    page.goto(server.url + explorer.path)
    page.wait_for_selector(EXPLORER, timeout=WAIT_MS)
    # The server now starts a kernel for the next viewer, which is not what is measured here.
    server.wait_until_warm(kernels=2)
    wait_until_exact(page)
    page.evaluate(WATCH, explorer.event)
    changes = explorer.changes(page)
    for _ in tqdm(range(moves), desc=explorer.path, unit="move", file=sys.stderr):
        next(changes)
        wait_until_exact(page)
    started, shown = page.evaluate("() => [window.started, window.shown]")
    page.close()
    first: dict[str, float] = {}
    for generation, at in shown:
        first.setdefault(str(generation), at)
    stale = sum(later[0] < earlier[0] for earlier, later in pairwise(shown))
    return [first[sent] - at for sent, at in started.items() if sent in first], stale


if __name__ == "__main__":
    run(
        measure,
        targets={
            f"{name}_{key}": target
            for name in EXPLORERS
            for key, target in (("first_p50_ms", Target(high=80)), ("stale_shown", Target(high=0)))
        },
        threads=2,
    )
