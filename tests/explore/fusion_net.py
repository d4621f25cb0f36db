"""Small graphs whose fusions are known, written as ONNX text, and latencies that nobody measured."""

from collections.abc import Callable, Iterator

import numpy as np
import onnx
import onnx.parser

from course_lib.benchmarking.latency import LatencyResult
from course_lib.benchmarking.machine import record_machine
from course_lib.explore.fusion_result import LevelLatency
from course_lib.export.graph_diff import GraphDiff, diff_graphs
from course_lib.export.graph_facts import read_graph
from course_lib.runtimes.onnx_model import OnnxModel
from course_lib.runtimes.protocol import Array

HEAD = '<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>'

BEFORE = f"""{HEAD}
net (float[1, 2, 4, 4] x) => (float[1, 32] y)
<float[2, 2, 3, 3] w, float[2] one, float[2] zero> {{
    [conv] a = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w)
    [norm] b = BatchNormalization (a, one, zero, zero, one)
    [relu] c = Relu (b)
    [flat] y = Flatten (c)
}}"""

AFTER = f"""{HEAD}
net (float[1, 2, 4, 4] x) => (float[1, 32] y)
<float[2, 2, 3, 3] w, float[2] zero> {{
    [fused] c = com.microsoft.FusedConv
        <kernel_shape = [3, 3], pads = [1, 1, 1, 1], activation = "Relu"> (x, w, zero)
    [flat] y = Flatten (c)
}}"""


def parsed(text: str) -> onnx.ModelProto:
    """Return a graph written as text; what stands in < > before the nodes are weights, filled at random."""
    model = onnx.parser.parse_model(text)
    values = np.random.default_rng(0)
    for declared in model.graph.value_info:
        shape = tuple(axis.dim_value for axis in declared.type.tensor_type.shape.dim)
        filled = values.uniform(0.5, 1.5, shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(filled, declared.name))
    del model.graph.value_info[:]
    return model


def known_diff() -> GraphDiff:
    """Return the comparison in which Conv, BatchNormalization and Relu became one FusedConv."""
    return diff_graphs(read_graph(parsed(BEFORE)), read_graph(parsed(AFTER)))


def net() -> bytes:
    """Return the content of a model: two convolutions with norms, an addition, pooling and a classifier."""
    text = f"""{HEAD}
    net (float[N, 3, 8, 8] x) => (float[N, 4] y)
    <float[8, 3, 3, 3] w1, float[8, 8, 3, 3] w2, float[8, 4] w3,
     float[8] s, float[8] b, float[8] m, float[8] v> {{
        [conv_1] a1 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w1)
        [norm_1] b1 = BatchNormalization (a1, s, b, m, v)
        [relu_1] c1 = Relu (b1)
        [conv_2] a2 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (c1, w2)
        [norm_2] b2 = BatchNormalization (a2, s, b, m, v)
        [add] c2 = Add (b2, c1)
        [relu_2] d = Relu (c2)
        [pool] p = GlobalAveragePool (d)
        [flat] f = Flatten (p)
        [fc] y = MatMul (f, w3)
    }}"""
    content: bytes = parsed(text).SerializeToString()
    return content


def latency(level_ms: float, off_ms: float, runs: int = 40, planned: int = 40) -> LevelLatency:
    """Return a latency whose samples all are alike."""
    machine = record_machine(threads=1)
    level, off = (
        LatencyResult(samples_ms=(each,) * runs, machine=machine, name=name)
        for each, name in ((level_ms, "level"), (off_ms, "off"))
    )
    return LevelLatency(level, off, planned)


class Stopwatch:
    """Measures nothing: a first latency, then the complete one; it notes which sessions it got."""

    def __init__(self) -> None:
        self.asked: list[tuple[OnnxModel, OnnxModel]] = []
        self.batches: list[Array] = []

    def __call__(
        self, level: OnnxModel, off: OnnxModel, batch: Array, cancelled: Callable[[], bool]
    ) -> Iterator[LevelLatency]:
        self.asked.append((level, off))
        self.batches.append(batch)
        yield latency(1.0, 2.0, runs=10)
        yield latency(1.0, 2.0)
