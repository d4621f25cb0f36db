"""Time a block in ONNX Runtime: in turns with the standard convolution, and kernel by kernel.

One picture, one thread. The two take turns, so that what the machine does falls on both; afterwards the
runtime's profiler says which kernels each of them became. Norms and activations are folded into the
convolutions there, and layouts are changed before and after them, which costs time and no MACs.

Worked example: a separable block on 28×28 pixels runs as ReorderInput, Conv, Conv, ReorderOutput: four
kernels for two convolutions, two norms and two activations.
"""

import time
from collections.abc import Callable, Mapping
from math import prod

import numpy as np

from course_lib.architectures.blocks.catalogue import BLOCKS, BlockShape
from course_lib.benchmarking.compare import compare_latency
from course_lib.explore.block_onnx import OUTPUT, block_onnx
from course_lib.explore.block_result import BlockLatency, KernelTime
from course_lib.explore.block_trace import BlockTrace, TraceStep, trace_block
from course_lib.explore.cancelling import Cancelled
from course_lib.reproducibility import seeded_torch
from course_lib.runtimes.onnx_insight import OperatorTime, operator_times
from course_lib.runtimes.onnx_runtime import OnnxRuntime

SECONDS = 0.15
MIN_RUNS, MAX_RUNS = 12, 200
PROFILED_SECONDS = 0.05
MIN_PROFILED, MAX_PROFILED = 5, 40
BYTES = 4
"""Of a number in float32."""


def measure_block(
    name: str, shape: BlockShape, standard: BlockShape, cancelled: Callable[[], bool] = lambda: False
) -> BlockLatency:
    """Return the latency of a block beside that of a standard convolution.

    Parameters
    ----------
    cancelled
        Asked before every run.

    Raises
    ------
    Cancelled
        Once ``cancelled()`` says True.
    SettingError
        If one of the blocks cannot have its shape.

    Examples
    --------
    >>> shape = BlockShape(16, 32, resolution=14)
    >>> measure_block("separable", shape, shape).p50_ms > 0
    True
    """
    traces = {"block": trace_block(name, shape), "standard": trace_block("standard", standard)}
    with seeded_torch(0):
        modules = {"block": BLOCKS[name].build(shape), "standard": BLOCKS["standard"].build(standard)}
    files = {key: block_onnx(traces[key], module.state_dict()) for key, module in modules.items()}
    x = np.random.default_rng(0).standard_normal(traces["block"].input_shape, np.float32)
    sessions = {key: OnnxRuntime().load(file, threads=1) for key, file in files.items()}

    def call(key: str) -> Callable[[], object]:
        def run() -> object:
            if cancelled():
                raise Cancelled
            return sessions[key].run(x)

        return run

    calls = {key: call(key) for key in files}
    pair_s = _seconds(calls)
    compared = compare_latency(
        calls, baseline="standard", warmup=3, runs=int(np.clip(SECONDS / pair_s, MIN_RUNS, MAX_RUNS))
    )
    profiled = int(np.clip(PROFILED_SECONDS / pair_s, MIN_PROFILED, MAX_PROFILED))
    kernels = {}
    for key, file in files.items():
        calls[key]()  # the last moment to give up
        kernels[key] = kernel_times(traces[key], operator_times(file, x, runs=profiled))
    block, ratio = compared.results["block"], compared.ratios["block"]
    return BlockLatency(
        p50_ms=block.p50_ms,
        p50_interval_ms=block.p50_interval_ms,
        standard_p50_ms=compared.results["standard"].p50_ms,
        standard_interval_ms=compared.results["standard"].p50_interval_ms,
        ratio=ratio.value,
        ratio_interval=ratio.interval,
        runs=len(block.samples_ms),
        noise_warning=block.noise_warning,
        kernels=kernels["block"],
        standard_kernels=kernels["standard"],
    )


def kernel_times(trace: BlockTrace, operators: tuple[OperatorTime, ...]) -> tuple[KernelTime, ...]:
    """Return the kernels of a block, each convolution with its place in the module.

    The runtime names a kernel after the last tensor that it makes, behind the norm, the activation or the
    addition that were folded into the convolution; from there the steps lead back to it.
    """
    makers = {name: step for step in trace.steps for name in step.outputs}
    found = []
    claimed: set[str] = set()
    for each in operators:
        path = ""
        if "Conv" in each.operator:
            name = each.name.removesuffix("_nchwc")
            path = _convolution_before(trace.output if name == OUTPUT else name, makers, claimed)
            claimed.add(path)
        moved = BYTES * (sum(map(prod, each.input_shapes)) + prod(each.output_shape))
        found.append(KernelTime(each.operator, path, moved, each.p50_us))
    return tuple(found)


def _convolution_before(name: str, makers: Mapping[str, TraceStep], claimed: set[str]) -> str:
    step = makers.get(name)
    if step is None:
        return ""
    if step.kind == "Conv2d":
        return "" if step.path in claimed else step.path
    # An addition may have a convolution on either side; the one that is still free is meant.
    return next(filter(None, (_convolution_before(each, makers, claimed) for each in step.inputs)), "")


def _seconds(calls: Mapping[str, Callable[[], object]]) -> float:
    """Return how long one run of each takes together, in the quickest of three rounds."""
    rounds = []
    for _ in range(3):
        started = time.perf_counter()
        for call in calls.values():
            call()
        rounds.append(time.perf_counter() - started)
    return min(rounds)
