"""Does the first accuracy estimate keep its promise?

At least 200 settings of several networks: how often does the 95 % interval of the first estimate hold the
exact accuracy over all 10,000 images, and how wide is it?
"""

import itertools
import sys
from typing import Any

from tqdm import tqdm

from benchmarks.cli import Target, run
from course_lib.data import load_dataset
from course_lib.explore import CompressionEngine, CompressionSetting

MODELS = ("depthwise", "plain_conv", "tiny")
SPARSITIES = tuple(tenth / 10 for tenth in range(10))
BITS = (32, 8, 6, 5, 4, 3, 2)


def settings(count: int) -> list[CompressionSetting]:
    """Return settings spread evenly over both sliders, all of them for 70; the check boxes alternate."""
    pairs = list(itertools.product(SPARSITIES, BITS))
    chosen = [pairs[index * len(pairs) // count] for index in range(count)]
    return [
        CompressionSetting(sparsity, bits, symmetric=number % 2 == 0, per_channel=number % 3 != 0)
        for number, (sparsity, bits) in enumerate(chosen)
    ]


def measure(quick: bool) -> dict[str, Any]:
    """Return how often the interval holds and its mean half width."""
    dataset = load_dataset("fashion-mnist")
    held, half_widths_pt, errors_pt = [], [], []
    for name in MODELS:
        engine = CompressionEngine(name, dataset)
        for setting in tqdm(settings(12 if quick else 70), desc=name, unit="setting", file=sys.stderr):
            first, *_, last = (result.accuracy for result in engine.stream(setting))
            held.append(first.low <= last.value <= first.high)
            half_widths_pt.append(50 * (first.high - first.low))
            errors_pt.append(100 * abs(first.value - last.value))
    return {
        "coverage": sum(held) / len(held),
        "half_width_pt": sum(half_widths_pt) / len(half_widths_pt),
        "mean_error_pt": sum(errors_pt) / len(errors_pt),
        "settings": len(held),
    }


if __name__ == "__main__":
    run(measure, {"coverage": Target(0.93, 0.99), "half_width_pt": Target(high=1.5)}, threads=2)
