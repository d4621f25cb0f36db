"""What the lesson on pruning measures: stored zeros, masks, rankings of channels, and smaller files.

Each function takes a trained network and returns plain numbers or measured results; the notebook and the deck
call the same ones.

Worked example, `stored_bytes` of 64 weights of which half are 0: 256 bytes as they are, 8 + 128 as a bitmap
and the values left.
"""

import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from course_lib.benchmarking import LatencyComparison, MachineRecord, compare_latency, record_machine
from course_lib.benchmarking.table import MeasuredResult, Row
from course_lib.errors import DataError
from course_lib.explore.channel_graph import ChannelGraph
from course_lib.pruning import apply_mask, layer_adaptive_masks, magnitude_masks, random_masks
from course_lib.pruning.importance import (
    Importance,
    bn_scale,
    l1_norm,
    mean_activation,
    random_importance,
    taylor,
)
from course_lib.pruning.lottery_result import LotteryResult, TicketRecord
from course_lib.pruning.masked import bake_masks, hold_masks, prunable_weights
from course_lib.pruning.selection import SelectionConfig, select_channels
from course_lib.pruning.structure.dependency import DependencyGraph
from course_lib.pruning.structure.removal import remove
from course_lib.quantization.encoding import encoded_sizes
from course_lib.runtimes import get_runtime
from course_lib.training import Examples, accuracy

Curve = list[tuple[float, float]]
"""(fraction pruned, accuracy), both in [0, 1]."""

DENSE = "dense"
SLIDES = Path(__file__).resolve().parents[2] / "slides" / "recorded"
LESSON = "week04_pruning_and_low_rank"


def channel_block() -> int:
    """Return how many channels ONNX Runtime's convolutions compute at a time on this CPU."""
    return 16 if "avx512f" in record_machine().cpu_flags else 8


def stored_bytes(weights: Iterable[Tensor]) -> dict[str, int]:
    """Return way of storing 32-bit weights → bytes: as they are, zipped, as a bitmap, as gaps.

    "zipped" is deflate, which finds repeated bytes; the others are `encode`'s.
    """
    arrays = [np.ascontiguousarray(weight.numpy(), "<f4") for weight in weights]
    sizes = [encoded_sizes(array) for array in arrays]
    return {
        "as they are": sum(each["dense"] for each in sizes),
        "zipped": len(zlib.compress(b"".join(array.tobytes() for array in arrays), level=9)),
        "bitmap": sum(each["bitmap"] for each in sizes),
        "gaps": sum(each["index"] for each in sizes),
    }


def masked_accuracies(
    model: nn.Module, examples: Examples, sparsities: Sequence[float], *, seed: int = 0
) -> dict[str, Curve]:
    """Return way of choosing the weights that go → accuracy at each sparsity, without training.

    "global" and "local" prune the smallest weights of the whole model or of each layer, "layer-adaptive" the
    smallest by LAMP's scores, "random" any.
    """
    weights = prunable_weights(model)
    ways: dict[str, Callable[[dict[str, Tensor], float], dict[str, Tensor]]] = {
        "global": magnitude_masks,
        "local": lambda weights, sparsity: magnitude_masks(weights, sparsity, scope="local"),
        "layer-adaptive": layer_adaptive_masks,
        "random": lambda weights, sparsity: random_masks(weights, sparsity, seed=seed),
    }
    return {
        name: [
            (each, accuracy(bake_masks(hold_masks(model, masks(weights, each))), examples))
            for each in sparsities
        ]
        for name, masks in ways.items()
    }


def rankings(
    graph: DependencyGraph, examples: Examples, *, seeds: Sequence[int] = (0,)
) -> dict[str, Importance]:
    """Return name → importance of channels: four that mean something, and random ones as a control.

    Parameters
    ----------
    examples
        Training images for those that look at activations or gradients.
    seeds
        One random ranking each.
    """
    inputs, labels = (torch.split(torch.from_numpy(part), 64) for part in examples)
    return {
        "L1 norm": l1_norm(graph),
        "batch norm's scale": bn_scale(graph),
        "mean activation": mean_activation(graph, inputs),
        "Taylor": taylor(graph, list(zip(inputs, labels, strict=True))),
        **{f"random {seed}": random_importance(graph, seed) for seed in seeds},
    }


def one_shot_accuracies(
    graph: DependencyGraph,
    importances: Mapping[str, Importance],
    ratios: Sequence[float],
    examples: Examples,
) -> dict[str, Curve]:
    """Return importance → accuracy with the least important channels removed, without training."""
    return {
        name: [
            (ratio, accuracy(remove(graph, select_channels(graph.groups, each, ratio)), examples))
            for ratio in ratios
        ]
        for name, each in importances.items()
    }


@dataclass(frozen=True, kw_only=True)
class RemovalRace(MeasuredResult):
    """Latencies of the file as it was (`DENSE`) and of smaller ones, in turns, with the MACs of each."""

    race: LatencyComparison
    macs: Mapping[str, int]

    def gains(self) -> dict[str, tuple[float, float]]:
        """Return name → how many times fewer MACs, how many times faster."""
        return {
            name: (self.macs[DENSE] / macs, 1 / self.race.ratios[name].value)
            for name, macs in self.macs.items()
        }

    def table_rows(self) -> list[Row]:
        return [
            {
                "channels removed": name,
                "MACs": f"{self.macs[name]:,}",
                "fewer MACs": f"{fewer:.2f} times",
                "faster": f"{faster:.2f} times",
                "95 % interval": "–" if name == DENSE else self._interval(name),
            }
            for name, (fewer, faster) in self.gains().items()
        ]

    def _interval(self, name: str) -> str:
        low, high = self.race.ratios[name].interval
        return f"{1 / high:.2f} to {1 / low:.2f}"


def race_without_channels(
    graph: ChannelGraph,
    image: NDArray[np.float32],
    ratios: Sequence[float],
    *,
    config: SelectionConfig | None = None,
    runs: int = 200,
) -> RemovalRace:
    """Time the exported network in turns with itself after channels of the smallest L1 norm are removed.

    Parameters
    ----------
    image
        (1, C, H, W).
    ratios
        Fractions of the channels to remove, in (0, 1).
    config
        Passed to `select_channels`.
    """
    importance = l1_norm(graph.dependencies)
    chosen = {f"{ratio:.0%}": select_channels(graph.groups, importance, ratio, config) for ratio in ratios}
    chosen = {DENSE: {}, **chosen}
    race = race_files({name: graph.without(each) for name, each in chosen.items()}, image, runs=runs)
    macs = {name: graph.macs(each) for name, each in chosen.items()}
    return RemovalRace(machine=race.machine, race=race, macs=macs)


def file_with_zeros(graph: ChannelGraph, model: nn.Module, sparsity: float) -> bytes:
    """Return the exported network with the smallest weights of ``model``, which it is of, set to 0."""
    weights = prunable_weights(model)
    masks = magnitude_masks(weights, sparsity)
    return graph.without({}, {name: apply_mask(each, masks[name]).numpy() for name, each in weights.items()})


def race_files(
    files: Mapping[str, bytes], image: NDArray[np.float32], *, runs: int = 200
) -> LatencyComparison:
    """Time ONNX models in turns on one image and one thread; the first is the baseline."""
    runtime = get_runtime("onnxruntime")
    calls = {name: partial(runtime.load(file).run, image) for name, file in files.items()}
    return compare_latency(calls, baseline=next(iter(files)), runs=runs)


def recorded_lottery(folder: Path = SLIDES) -> LotteryResult:
    """Return the lottery ticket experiment that was recorded for the slides.

    Raises
    ------
    DataError
        If there is no such recording.
    """
    path = folder / f"{LESSON}.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["results"]["lottery"]
        entries = _untyped(found["machine"])
        machine = MachineRecord(**{**entries, "cpu_flags": tuple(entries["cpu_flags"])})
        records = tuple(TicketRecord(**_untyped(each)) for each in found["records"])
        return LotteryResult(machine=machine, records=records, images=found["images"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path.name} in the slides' recordings holds no lottery ticket experiment; take the file from "
            f"the repository, or measure again with: python -m slides.record {LESSON}"
        ) from error


def _untyped(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != "type"}
