"""How much does ONNX Runtime gain over eager PyTorch, and how much of that is graph optimization?

Every network of the zoo and torchvision's MobileNetV2 at 224×224 (random weights: they change no time) runs
one picture on one thread, eagerly and in ONNX Runtime at the four optimization levels, all in turns.
``eager_over_ort.<model>`` is the median latency of eager PyTorch divided by that of the level "all",
``none_over_all.<model>`` that of the level "off"; likewise ``basic_over_all`` and ``extended_over_all``. The
intervals (95 %) are in ``models``. The goal of twice as fast as eager is for the small networks.
"""

import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from benchmarks.cli import Target, run
from course_lib.architectures import input_shape, list_zoo, load_pretrained
from course_lib.benchmarking.compare import LatencyComparison, compare_latency
from course_lib.data.torchvision_import import import_torchvision
from course_lib.export.onnx_export import build_onnx
from course_lib.export.parity import check_parity
from course_lib.reproducibility import seeded_torch
from course_lib.runtimes.eager import EagerRuntime
from course_lib.runtimes.onnx_runtime import OnnxRuntime, Optimization

LARGE = "mobilenet_v2_224"
ROUNDS, QUICK_ROUNDS = 300, 30
THREADS = 1
RATIOS = {
    "eager_over_ort": "eager",
    "none_over_all": "off",
    "basic_over_all": "basic",
    "extended_over_all": "extended",
}
"""Key → which latency is divided by that of the level "all"."""

TARGETS = {f"eager_over_ort.{name}": Target(low=2) for name in list_zoo()}


def networks() -> dict[str, Callable[[], tuple[nn.Module, tuple[int, ...]]]]:
    """Return name → function that gives the network in eval mode and the shape of one picture."""
    zoo = {name: partial(_from_zoo, name) for name in list_zoo()}
    return {**zoo, LARGE: _mobilenet_v2}


def _from_zoo(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    return load_pretrained(name), (1, *input_shape(name))


def _mobilenet_v2() -> tuple[nn.Module, tuple[int, ...]]:
    import_torchvision()
    from torchvision import models

    with seeded_torch(0):
        return models.mobilenet_v2(weights=None).eval(), (1, 3, 224, 224)


def race(model: nn.Module, shape: tuple[int, ...], rounds: int) -> LatencyComparison:
    """Time one picture, eagerly and at all levels, in turns; first all must agree."""
    picture = np.random.default_rng(0).random(shape, np.float32)
    content = build_onnx(model, torch.zeros(shape))
    levels: list[Optimization] = ["off", "basic", "extended", "all"]
    eager = EagerRuntime().load(model, threads=THREADS)
    loaded = {level: OnnxRuntime(level).load(content, threads=THREADS) for level in levels}
    for each in loaded.values():
        check_parity(eager.run, each.run, picture, absolute_tolerance=1e-4, relative_tolerance=1e-3)
    calls = {name: partial(each.run, picture) for name, each in {"eager": eager, **loaded}.items()}
    return compare_latency(calls, baseline="all", runs=rounds, threads=THREADS)


def figures_of(compared: LatencyComparison) -> dict[str, Any]:
    """Return a network's ratios with their intervals, and the medians they come from."""
    figures: dict[str, Any] = {f"{name}_p50_ms": result.p50_ms for name, result in compared.results.items()}
    for key, name in RATIOS.items():
        ratio = compared.ratios[name]
        figures |= {key: ratio.value, f"{key}_interval": list(ratio.interval)}
    return figures


def measure(quick: bool) -> dict[str, Any]:
    """Return the ratios of all networks, flat for the table, and nested with their intervals."""
    models = {}
    for name, make in tqdm(networks().items(), unit="network", file=sys.stderr):
        model, shape = make()
        models[name] = figures_of(race(model, shape, QUICK_ROUNDS if quick else ROUNDS))
    return {**flat(models), "models": models}


def flat(models: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Return ``"ratio.model"`` → value."""
    return {f"{key}.{name}": figures[key] for key in RATIOS for name, figures in models.items()}


if __name__ == "__main__":
    run(measure, TARGETS, threads=THREADS)
