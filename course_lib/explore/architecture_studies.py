"""What the lesson on architectures measures: blocks and scaled networks in turns, and where time goes.

Each function builds untrained blocks or networks (what they weigh does not change how long they take), times
them in ONNX Runtime on one picture and one thread, and returns measured results; the notebook and the deck
call the same ones.

Worked example, `gains` of a block with 100 MACs in 4 µs beside a baseline with 800 MACs in 8 µs: eight times
fewer MACs, twice as fast.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from course_lib.architectures import create_model, input_shape
from course_lib.architectures.blocks.catalogue import BLOCKS, BlockShape
from course_lib.architectures.blocks.design_rules import pointwise_memory_access
from course_lib.benchmarking import Interval, LatencyComparison, Ratio, compare_latency
from course_lib.benchmarking.macs import profile_layers
from course_lib.benchmarking.number_text import significant
from course_lib.benchmarking.table import MeasuredResult, Row
from course_lib.explore.block_choice import obeyed, standard_of
from course_lib.explore.block_onnx import block_onnx
from course_lib.explore.block_result import BlockResult, BlockSetting
from course_lib.explore.block_text import shares
from course_lib.explore.block_trace import trace_block
from course_lib.export.onnx_export import build_onnx
from course_lib.reproducibility import seeded_torch
from course_lib.runtimes import get_runtime

STANDARD, SEPARABLE = "standard", "separable"


@dataclass(frozen=True)
class Gain:
    """Something beside its baseline: how many times fewer MACs, and the ratio of the latencies.

    ``ratio`` is latency / baseline's, so that below 1 is faster.
    """

    name: str
    fewer_macs: float
    ratio: Ratio

    @property
    def faster(self) -> float:
        """How many times faster than the baseline."""
        return 1 / self.ratio.value

    @property
    def faster_interval(self) -> Interval:
        """The interval of `faster`."""
        low, high = self.ratio.interval
        return Interval(1 / high, 1 / low, self.ratio.interval.confidence)


@dataclass(frozen=True, kw_only=True)
class CostRace(MeasuredResult):
    """Blocks or networks timed in turns, with the MACs and parameters of each; the first is the baseline."""

    race: LatencyComparison
    macs: Mapping[str, int]
    params: Mapping[str, int]

    def gains(self) -> dict[str, Gain]:
        """Return name → MACs and latency beside the baseline's."""
        before = self.macs[self.race.baseline]
        return {name: Gain(name, before / macs, self.race.ratios[name]) for name, macs in self.macs.items()}

    def parts(self) -> dict[str, dict[str, float]]:
        """Return name → MACs, parameters and latency as multiples of the baseline's."""
        base = self.race.baseline
        return {
            name: {
                "MACs": self.macs[name] / self.macs[base],
                "parameters": self.params[name] / self.params[base],
                "latency": self.race.ratios[name].value,
            }
            for name in self.macs
        }

    def table_rows(self) -> list[Row]:
        return [self._row(name, gain) for name, gain in self.gains().items()]

    def _row(self, name: str, gain: Gain) -> Row:
        low, high = gain.faster_interval
        return {
            "name": name,
            "MACs": f"{self.macs[name]:,}",
            "parameters": f"{self.params[name]:,}",
            "p50 µs": significant(1000 * self.race.results[name].p50_ms),
            "fewer MACs": f"{gain.fewer_macs:.2f} times",
            "faster": f"{gain.faster:.2f} times",
            "95 % interval": "–" if name == self.race.baseline else f"{low:.2f} to {high:.2f}",
        }


def settings_for(shape: BlockShape) -> dict[str, BlockSetting]:
    """Return block → its setting for a shape, the standard convolution first.

    Squeeze-and-excitation is left out: it goes into another block and replaces none.

    Raises
    ------
    SettingError
        If a block cannot have the shape.
    """
    found = {STANDARD: BlockSetting(STANDARD, standard_of(STANDARD, shape))}
    for name, kind in BLOCKS.items():
        if name not in (STANDARD, "squeeze_excitation"):
            found[name] = BlockSetting(name, obeyed(name, shape))
            kind.macs(shape)
    return found


def race_blocks(settings: Mapping[str, BlockSetting], *, runs: int = 200, seed: int = 0) -> CostRace:
    """Time blocks in turns; the first is the baseline.

    Parameters
    ----------
    settings
        Label → block and shape; all read the pictures that their shape says.
    """
    calls = {}
    for label, setting in settings.items():
        trace = trace_block(setting.block, setting.shape)
        with seeded_torch(seed):
            weights = BLOCKS[setting.block].build(setting.shape).state_dict()
        x = np.random.default_rng(seed).standard_normal(trace.input_shape, np.float32)
        loaded = get_runtime("onnxruntime").load(block_onnx(trace, weights))
        calls[label] = lambda loaded=loaded, x=x: loaded.run(x)
    race = compare_latency(calls, baseline=next(iter(settings)), runs=runs, seed=seed)
    return CostRace(
        machine=race.machine,
        race=race,
        macs={label: BLOCKS[each.block].macs(each.shape) for label, each in settings.items()},
        params={label: BLOCKS[each.block].params(each.shape) for label, each in settings.items()},
    )


def separable_gains(shapes: Mapping[str, BlockShape], *, runs: int = 200) -> list[Gain]:
    """Return for each shape what a separable block gains on the standard convolution that it replaces."""
    found = []
    for label, shape in shapes.items():
        pair = {name: BlockSetting(name, obeyed(name, shape)) for name in (STANDARD, SEPARABLE)}
        found.append(replace(race_blocks(pair, runs=runs).gains()[SEPARABLE], name=label))
    return found


def pointwise(in_channels: int, out_channels: int, resolution: int, groups: int = 1) -> BlockSetting:
    """Return the setting of a 1×1 convolution."""
    return BlockSetting(STANDARD, BlockShape(in_channels, out_channels, resolution, kernel=1, groups=groups))


def moved_numbers(settings: Mapping[str, BlockSetting]) -> dict[str, int]:
    """Return label → numbers that a 1×1 convolution reads and writes."""
    return {
        label: pointwise_memory_access(
            each.shape.in_channels, each.shape.out_channels, each.shape.resolution**2, each.shape.groups
        )
        for label, each in settings.items()
    }


def kernel_times_us(result: BlockResult) -> dict[str, float]:
    """Return kind of work → microseconds of a measured block; "outside" is all that is no convolution."""
    return {share.kind: share.time_us for share in shares(result)}


def race_scaled(name: str, factors: Sequence[tuple[float, float]], *, runs: int = 200) -> CostRace:
    """Time one network at several widths and depths, untrained; exporting takes seconds for each.

    Parameters
    ----------
    name
        Of the registry.
    factors
        (width, depth); the first is the baseline.
    """
    example = torch.zeros(1, *input_shape(name))
    calls, macs, params = {}, {}, {}
    for width, depth in factors:
        label = f"width {width:g}, depth {depth:g}"
        with seeded_torch(0):
            model = create_model(name, width=width, depth=depth).eval()
        profile = profile_layers(model, example)
        macs[label], params[label] = profile.macs, profile.params
        loaded = get_runtime("onnxruntime").load(build_onnx(model, example))
        calls[label] = lambda loaded=loaded: loaded.run(example.numpy())
    race = compare_latency(calls, baseline=next(iter(calls)), runs=runs)
    return CostRace(machine=race.machine, race=race, macs=macs, params=params)
