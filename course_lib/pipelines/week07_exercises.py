"""The exercises of week 7: folding, where fusion stops, memory that is reused, blocked layouts, and threads.

Answers are compared with what the library computes: folded biases and graphs with `fold_batch_norm`, places
in memory with NumPy. The graph and the tensors are made up.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache

import numpy as np
import onnx
from onnx import numpy_helper

from course_lib.export.passes.conv_bn import fold_batch_norm
from course_lib.pipelines.exercises import UNTOUCHED, Feedback, check_function

FOLDED = """
<ir_version: 8, opset_import: ["" : 20]>
one (float[1,1,1,1] x) => (float[1,1,1,1] y)
<float[1,1,1,1] w = {{1}}, float[1] b = {{{bias}}}, float[1] g = {{{gamma}}}, float[1] s = {{{beta}}},
 float[1] m = {{{mean}}}, float[1] v = {{{variance}}}>
{{ c = Conv(x, w, b)
   y = BatchNormalization<epsilon = {epsilon}>(c, g, s, m, v) }}
"""

NORM = (3.0, 5.0, 1.0, 3.5, 0.5)
"""γ, β, μ, σ² and ε of the cases of the folding exercise; σ² + ε = 4."""

GRAPH = """
a       = Conv(picture)
a_norm  = BatchNormalization(a)
b       = Conv(a_norm)
b_norm  = BatchNormalization(b)
sum     = Add(b_norm, b)
c       = Conv(sum)
c_act   = Relu(c)
c_norm  = BatchNormalization(c_act)
d       = Conv(c_norm)
d_norm  = BatchNormalization(d)
e       = Conv(d_norm)
e_norm  = BatchNormalization(e)
scores  = Relu(e_norm)

outputs: scores, d
"""
"""A made-up graph; all weights are stored in the file."""

HEAD = """
<ir_version: 8, opset_import: ["" : 20]>
net (float[1,1,4,4] picture) => (float[1,1,4,4] scores, float[1,1,4,4] d)
<float[1,1,1,1] w = {2}, float[1] g = {3}, float[1] s = {1}, float[1] m = {0}, float[1] v = {1}>
"""
WEIGHTS = {"Conv": "w", "BatchNormalization": "g, s, m, v"}
"""What makes `GRAPH` whole: its outline and stored values, and what each operator reads of them."""

WHY_NOT = {
    "b": "b is read by Add too: who folds it away takes from Add what it reads",
    "c": "between c and its normalization stands a Relu, and a product does not pass through it for γ < 0",
    "d": "d is an output of the model, so somebody outside reads it",
}
"""Convolution → why its normalization stays."""

TENSORS = (
    ((100, 0, 1), (100, 1, 2), (50, 2, 3), (50, 3, 4)),
    ((100, 0, 3), (100, 1, 2), (200, 2, 3), (50, 3, 4)),
    ((64, 0, 1), (16, 1, 2), (64, 2, 3)),
)
"""Made-up tensors: bytes, the step that writes it, the last step that reads it."""


def check_folded_bias(function: Callable[[float, float, float, float, float, float], float]) -> Feedback:
    """Check the bias after folding: called with b, γ, β, μ, σ², ε."""
    return check_function(
        function,
        [(1.0, *NORM), (0.0, *NORM), (-2.0, 0.5, 0.0, 3.0, 0.2, 0.05), (4.0, -1.0, 2.0, 0.0, 9.0, 0.0)],
        lambda value, *arguments: math.isclose(value, _folded_bias(*arguments), rel_tol=1e-4, abs_tol=1e-5),
        expected=_folded_bias,
        what="your bias",
        why="two operators become one only if the new one computes exactly the same.",
        mistakes={
            "The old bias is normalized as well: subtract the mean from it before you scale.": (
                lambda b, g, s, m, v, e: s - m * g / math.sqrt(v + e) + b
            ),
            "ε belongs under the root, beside the variance.": lambda b, g, s, m, v, e: (
                (b - m) * g / (math.sqrt(v) + e) + s
            ),
            "Divide by the standard deviation, the root of the variance.": lambda b, g, s, m, v, e: (
                (b - m) * g / (v + e) + s
            ),
            "The mean is missing.": lambda b, g, s, m, v, e: b * g / math.sqrt(v + e) + s,
            "β is missing.": lambda b, g, s, m, v, e: (b - m) * g / math.sqrt(v + e),
        },
    )


def _folded_bias(
    bias: float, gamma: float, beta: float, mean: float, variance: float, epsilon: float
) -> float:
    """Return the bias that the library's own pass stores."""
    text = FOLDED.format(bias=bias, gamma=gamma, beta=beta, mean=mean, variance=variance, epsilon=epsilon)
    (conv,) = (folded := fold_batch_norm(onnx.parser.parse_model(text))).graph.node
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in folded.graph.initializer}
    return float(stored[conv.input[2]].item())


def check_foldable(answer: object) -> Feedback:
    """Check the set of convolutions of `GRAPH` into which the normalization behind them can be folded."""
    what = 'a set of names, such as {"a", "b"}'
    if any(answer is untouched for untouched in UNTOUCHED):
        return Feedback("open", f"give {what}, in the place of ..., and run both cells again.")
    convolutions = set(foldable()) | set(WHY_NOT)
    if isinstance(answer, str) or not isinstance(answer, Iterable):
        return Feedback("wrong", f"expected {what}; your answer is {answer!r}.")
    said = {str(name) for name in answer}
    if not said <= convolutions:
        known = ", ".join(sorted(convolutions))
        return Feedback("wrong", f"the convolutions are {known}; your answer is {sorted(said)}.")
    if too_many := sorted(said - set(foldable())):
        return Feedback("wrong", f"{too_many[0]} cannot be folded: {WHY_NOT[too_many[0]]}.")
    if missing := sorted(set(foldable()) - said):
        return Feedback("wrong", f"{missing[0]} can be folded too: nobody else reads it.")
    return Feedback("right", "the library's pass folds these, and leaves the others as they are.")


@cache
def foldable() -> tuple[str, ...]:
    """Return the convolutions of `GRAPH` that `fold_batch_norm` takes together with their normalization."""
    folded = fold_batch_norm(onnx.parser.parse_model(_whole_graph()))
    folded_outputs = {node.output[0] for node in folded.graph.node if node.op_type == "Conv"}
    return tuple(sorted(name.removesuffix("_norm") for name in folded_outputs if name.endswith("_norm")))


def _whole_graph() -> str:
    """Return `GRAPH` as ONNX text, with the weights that the page leaves out."""
    steps, _ = GRAPH.strip().split("\n\n")
    for operator, weights in WEIGHTS.items():
        steps = re.sub(rf"{operator}\((\w+)\)", rf"{operator}(\1, {weights})", steps)
    return f"{HEAD}{{ {steps} }}"


def check_peak(function: Callable[[Sequence[tuple[int, int, int]]], float]) -> Feedback:
    """Check the most bytes alive at one step: called with (bytes, written at step, last read at step)."""
    return check_function(
        function,
        [(list(tensors),) for tensors in TENSORS],
        lambda value, tensors: math.isclose(value, _peak(tensors)),
        expected=_peak,
        what="your peak",
        why="a runtime that knows it can plan one piece of memory for the whole run.",
        mistakes={
            "This is the sum of all tensors: memory of one that nobody reads any more is used again.": (
                lambda tensors: sum(size for size, _, _ in tensors)
            ),
            "This is the largest tensor; while it is written, others are still read.": lambda tensors: max(
                size for size, _, _ in tensors
            ),
            "A tensor is alive in the step that reads it last, too: it is read while that step writes.": (
                lambda tensors: max(
                    sum(size for size, first, last in tensors if first <= step < last)
                    for step in range(max(last for _, _, last in tensors) + 1)
                )
            ),
        },
    )


def _peak(tensors: Sequence[tuple[int, int, int]]) -> int:
    steps = range(max(last for _, _, last in tensors) + 1)
    return max(sum(size for size, first, last in tensors if first <= step <= last) for step in steps)


def check_blocked_place(function: Callable[[int, int, int, int, int, int], int]) -> Feedback:
    """Check a place in blocked memory: called with channel, row, column, height, width, block."""
    return check_function(
        function,
        [(0, 0, 1, 4, 5, 8), (3, 1, 2, 4, 5, 8), (8, 0, 0, 4, 5, 8), (13, 3, 4, 4, 5, 8), (6, 2, 1, 3, 3, 4)],
        lambda value, *arguments: value == _blocked_place(*arguments),
        expected=_blocked_place,
        what="your place",
        why="eight channels of one pixel side by side fill one vector register with a single load.",
        mistakes={
            "These are the rows of plain NCHW, channel after channel.": lambda c, h, w, height, width, b: (
                (c * height + h) * width + w
            ),
            "Inside a block the channel counts from 0 again: c % block.": lambda c, h, w, height, width, b: (
                ((c // b * height + h) * width + w) * b + c
            ),
            "The block of the channel is missing: c // block planes lie before it.": (
                lambda c, h, w, height, width, b: (h * width + w) * b + c % b
            ),
            "Each pixel takes as many places as a block has channels.": lambda c, h, w, height, width, b: (
                (c // b * height + h) * width + w + c % b
            ),
        },
    )


def _blocked_place(channel: int, row: int, column: int, height: int, width: int, block: int) -> int:
    """Return the place, found by really rearranging the numbers of an array."""
    channels = (channel // block + 1) * block
    plain = np.arange(channels * height * width).reshape(channels, height, width)
    blocked = plain.reshape(-1, block, height, width).transpose(0, 2, 3, 1)
    return int(np.flatnonzero(blocked.ravel() == plain[channel, row, column])[0])


def check_most_gain(function: Callable[[float, float, int], float]) -> Feedback:
    """Check the best possible gain of threads: called with µs in kernels, µs between them, threads."""
    return check_function(
        function,
        [(80.0, 20.0, 2), (900.0, 100.0, 4), (50.0, 50.0, 64), (10.0, 0.0, 8)],
        lambda value, *arguments: math.isclose(value, _most_gain(*arguments), rel_tol=1e-6),
        expected=_most_gain,
        what="your gain",
        why="what is not divided sets the limit (Amdahl 1967): four times the threads are never four times.",
        mistakes={
            "Only the kernels are divided; what lies between them takes as long as before.": (
                lambda kernels, between, threads: float(threads)
            ),
            "This is the new time divided by the old: turn it over.": lambda kernels, between, threads: (
                1 / _most_gain(kernels, between, threads)
            ),
            "The time between the kernels is part of the call, before and after.": (
                lambda kernels, between, threads: kernels / (kernels / threads + between)
            ),
            "This is the new time; asked for is how many times shorter it is.": (
                lambda kernels, between, threads: kernels / threads + between
            ),
        },
    )


def _most_gain(kernels_us: float, between_us: float, threads: int) -> float:
    return (kernels_us + between_us) / (kernels_us / threads + between_us)
