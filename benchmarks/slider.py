"""How fast does the page follow a slider, and how much faster is that than the usual way?

In Chromium against Voilà: real key presses on the sliders, timed inside the page from the input event to the
change that it causes; then a drag without pause. After that, without the browser: the engine in turns with
the way that courses do it today, a deep copy, `torch.nn.utils.prune`, fake quantization, and an eager pass
over all 10,000 images.
"""

import copy
import sys
import time
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from playwright.sync_api import Page
from torch import nn
from torch.nn.utils import prune
from tqdm import tqdm

from benchmarks.cli import Target, run
from benchmarks.pages import browser, open_explorer, voila_server, wait_until_exact
from course_lib.architectures import load_pretrained
from course_lib.data import Dataset, load_dataset
from course_lib.explore import CompressionEngine, CompressionSetting

TEACHER = "residual"
EAGER_BATCH = 500

WATCH = """() => {
  const root = document.querySelector('.ce');
  const words = root.querySelector('.ce-now');
  const percent = () => words.textContent.match(/(\\d+)% zeros/)[1];
  window.inputs = {};
  window.sent = {};
  window.shown = [];
  // The page's own listener, on the slider itself, has sent the setting before this one hears of the event.
  root.addEventListener('input', (event) => {
    window.inputs[root.dataset.sent] = event.timeStamp;
    window.sent[root.dataset.sent] = root.querySelector('input[id$=-sparsity]').value;
  });
  new MutationObserver(() => {
    const { generation, complete, exact } = root.dataset;
    const now = performance.now();
    window.shown.push([Number(generation), now, complete === 'true', exact === 'true', percent()]);
  }).observe(root, { attributes: true, attributeFilter: ['data-generation'] });
}"""
"""Note when each input happens, and every state that the page shows afterwards."""


def measure(quick: bool) -> dict[str, Any]:
    """Return the figures of the page and of the comparison."""
    moves, teacher_moves, drag_s, rounds = (12, 4, 2.0, 2) if quick else (72, 16, 5.0, 8)
    with voila_server() as server, browser() as chromium:
        page = open_explorer(chromium.new_page(), server)
        # The server now starts a kernel for the next viewer, which is not what is measured here.
        server.wait_until_warm(kernels=2)
        wait_until_exact(page)
        page.evaluate(WATCH)
        timings = _move_sliders(page, moves, "depthwise")
        dragged = _drag(page, drag_s)
        page.get_by_role("button", name="Reset").click()
        page.get_by_label("Model").select_option(TEACHER)
        page.wait_for_selector(f".ce[data-model={TEACHER}]", timeout=120_000)
        wait_until_exact(page)
        teacher = _move_sliders(page, teacher_moves, TEACHER)
    return {
        "first_p50_ms": _percentile(timings["first"], 50),
        "first_p95_ms": _percentile(timings["first"], 95),
        "complete_p50_ms": _percentile(timings["complete"], 50),
        "exact_p50_ms": _percentile(timings["exact"], 50),
        "teacher_first_p50_ms": _percentile(teacher["first"], 50),
        **dragged,
        "moves": len(timings["first"]),
        **_compare(rounds),
        "first_samples_ms": timings["first"],
        "exact_samples_ms": timings["exact"],
    }


def _move_sliders(page: Page, moves: int, name: str) -> dict[str, list[float]]:
    """Press arrow keys on both sliders, one new setting each time, and wait for the exact result of each."""
    times: dict[str, list[float]] = {"first": [], "complete": [], "exact": []}
    sparsity, bits = page.get_by_label("Sparsity"), page.get_by_label("Weight bits")
    last = int(bits.get_attribute("max") or 0)
    for number in tqdm(range(moves), desc=name, unit="move", file=sys.stderr):
        # Every sixth move goes to the next bit width, down to two bits and up again; the others prune more.
        if number % 6 == 5:
            bits.press("ArrowRight" if (number // 6) % (2 * last) < last else "ArrowLeft")
        else:
            sparsity.press("ArrowRight")
        wait_until_exact(page)
        sent = page.evaluate("() => document.querySelector('.ce').dataset.sent")
        started = page.evaluate(f"() => window.inputs['{sent}']")
        states = page.evaluate(f"() => window.shown.filter((state) => state[0] === {sent})")
        times["first"].append(states[0][1] - started)
        times["complete"].append(next(state[1] for state in states if state[2]) - started)
        times["exact"].append(next(state[1] for state in states if state[3]) - started)
    return times


def _drag(page: Page, seconds: float) -> dict[str, float]:
    """Drag the sparsity slider to and fro without pause, and count what the page shows meanwhile."""
    box = page.get_by_label("Sparsity").bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.evaluate("() => { window.shown = []; window.sent = {}; }")
    page.mouse.move(box["x"] + 2, y)
    page.mouse.down()
    started = time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        share = abs((elapsed / 2.5) % 2 - 1)
        page.mouse.move(box["x"] + 2 + (1 - share) * 0.9 * box["width"], y)
        page.wait_for_timeout(16)
    states, sent = page.evaluate("() => [window.shown, window.sent]")
    page.mouse.up()
    wait_until_exact(page)
    generations = [state[0] for state in states]
    # Stale is what goes back to an older setting, and what shows another setting than its number says.
    stale = sum(later < earlier for earlier, later in pairwise(generations))
    stale += sum(sent.get(str(state[0]), state[4]) != state[4] for state in states)
    return {"drag_updates_per_s": len(set(generations)) / seconds, "stale_shown": stale}


def _compare(rounds: int) -> dict[str, Any]:
    """Time the engine and the usual way in turns, over settings that neither has seen."""
    dataset = load_dataset("fashion-mnist")
    engine = CompressionEngine("depthwise", dataset)
    model = load_pretrained("depthwise")
    inputs = torch.from_numpy(dataset.inputs())
    first_s, exact_s, usual_s, equal = [], [], [], []
    for number in tqdm(range(rounds), desc="comparison", unit="setting", file=sys.stderr):
        setting = CompressionSetting(0.05 + 0.7 * number / rounds, (8, 5, 4, 32)[number % 4])
        started = time.perf_counter()
        stream = engine.stream(setting)
        next(stream)
        first_s.append(time.perf_counter() - started)
        *_, last = stream
        exact_s.append(time.perf_counter() - started)
        started = time.perf_counter()
        scores = usual_way(model, inputs, setting)
        usual_s.append(time.perf_counter() - started)
        equal.append(last.accuracy.value == _accuracy(scores, dataset))
    return {
        "first_speedup": median(usual / first for usual, first in zip(usual_s, first_s, strict=True)),
        "exact_speedup": median(usual / exact for usual, exact in zip(usual_s, exact_s, strict=True)),
        "accuracy_equal": all(equal),
        "usual_p50_ms": 1000 * median(usual_s),
    }


def usual_way(model: nn.Module, inputs: torch.Tensor, setting: CompressionSetting) -> NDArray[np.float32]:
    """Return the scores of a compressed deep copy in eager PyTorch, (N, number of classes)."""
    model = copy.deepcopy(model)
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    pruned = [(layer, "weight") for layer in layers]
    prune.global_unstructured(pruned, pruning_method=prune.L1Unstructured, amount=setting.sparsity)
    for layer in layers:
        prune.remove(layer, "weight")
        if setting.quantized:
            layer.weight.data = _fake_quantize(layer.weight.data, setting.bits)
    with torch.inference_mode():
        return torch.cat([model(batch) for batch in torch.split(inputs, EAGER_BATCH)]).numpy()


def _fake_quantize(weight: torch.Tensor, bits: int) -> torch.Tensor:
    limit = 2 ** (bits - 1) - 1
    scale = weight.abs().amax(dim=tuple(range(1, weight.ndim))) / limit
    scale = torch.where(scale == 0, 1.0, scale)
    zero_point = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, zero_point, 0, -limit, limit)


def _accuracy(scores: NDArray[np.float32], dataset: Dataset) -> float:
    return float((scores.argmax(1) == dataset.labels).mean())


def _percentile(samples: list[float], percent: float) -> float:
    return float(np.percentile(samples, percent))


if __name__ == "__main__":
    run(
        measure,
        targets={
            "first_p50_ms": Target(high=60),
            "first_p95_ms": Target(high=120),
            "complete_p50_ms": Target(high=250),
            "exact_p50_ms": Target(high=400),
            "teacher_first_p50_ms": Target(high=250),
            "drag_updates_per_s": Target(low=8),
            "stale_shown": Target(high=0),
            "first_speedup": Target(low=15),
            "exact_speedup": Target(low=2),
            "accuracy_equal": Target(low=1),
        },
        threads=2,
    )
