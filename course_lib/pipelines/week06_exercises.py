"""The exercises of week 6: gradients through rounding, functions made in a loop, and bits under a budget.

Answers are compared with what the library computes: the gradients with autograd through `straight_through`,
the bits with `allocate`. The layers of the allocation exercise are made up.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from course_lib.benchmarking.table import Row
from course_lib.pipelines.exercises import UNTOUCHED, Feedback, check_function
from course_lib.quantization.affine import QParams
from course_lib.quantization.allocation import allocate
from course_lib.quantization.models.fake_quant import straight_through

LOW, HIGH = -7.0, 7.0
"""The codes of a symmetric 4-bit grid, as the exercises on gradients are checked with."""

V_CASES = (0.6, -2.3, 3.0, 7.4, -7.6, 12.0, -30.5)
"""Values in steps, x / S: inside the grid, on a grid point, rounded onto the last code, and far outside."""

WIDTHS = (2, 4, 8)
SIZES = {"first": 100, "middle": 1000, "last": 400}
"""Made-up layers and their weights."""
LOSSES = {
    "first": {2: 0.9, 4: 0.3, 8: 0.01},
    "middle": {2: 1.2, 4: 0.1, 8: 0.0},
    "last": {2: 0.06, 4: 0.02, 8: 0.0},
}
"""Their made-up losses, layer → bits → loss."""
COSTS = {layer: {width: float(width * size) for width in WIDTHS} for layer, size in SIZES.items()}
BUDGET_BITS = 4 * sum(SIZES.values())
"""An average of 4 bits a weight."""


def check_input_gradient(function: Callable[[float, float, float, float], float]) -> Feedback:
    """Check the straight-through gradient for ``x``: called with upstream gradient, v = x / S, low, high."""
    return check_function(
        function,
        [(upstream, v, LOW, HIGH) for upstream, v in zip((1.0, -0.5, 2.0) * 3, V_CASES, strict=False)],
        lambda value, *arguments: math.isclose(value, _gradients(*arguments)[0], abs_tol=1e-6),
        expected=lambda *arguments: _gradients(*arguments)[0],
        what="your gradient",
        why="with it the weights behind the rounding move, and those beyond the grid's ends rest.",
        mistakes={
            "This is the true gradient of rounding: it is right almost everywhere, and nothing trains.": (
                lambda upstream, v, low, high: 0.0
            ),
            "Values outside the range are clipped: there y does not change with x, so nothing passes.": (
                lambda upstream, v, low, high: upstream
            ),
            "Multiply by the gradient that comes from above: this is the chain rule.": (
                lambda upstream, v, low, high: float(low <= v <= high)
            ),
            "You have kept the values outside the range and stopped those inside.": (
                lambda upstream, v, low, high: upstream * (not low <= v <= high)
            ),
        },
    )


def check_step_gradient(function: Callable[[float, float, float], float]) -> Feedback:
    """Check LSQ's gradient for the step size: called with v = x / S, low, high; the loss is y itself."""
    return check_function(
        function,
        [(v, LOW, HIGH) for v in V_CASES],
        lambda value, *arguments: math.isclose(value, _gradients(1.0, *arguments)[1], abs_tol=1e-5),
        expected=lambda *arguments: _gradients(1.0, *arguments)[1],
        what="your gradient of the step",
        why="it lets training weigh the clipping of a few large values against finer steps for all others.",
        mistakes={
            "Inside the range S is in two places, S · round(x / S): the second one gives the − v.": (
                lambda v, low, high: min(max(round(v), low), high)
            ),
            "The sign is the wrong way round: it is round(v) − v.": lambda v, low, high: (
                v - round(v) if low <= v <= high else min(max(v, low), high)
            ),
            "Outside the range the value is low · S or high · S, and its derivative low or high; no − v.": (
                lambda v, low, high: min(max(round(v), low), high) - v
            ),
            "Outside the range the step still matters: it moves the end of the grid.": lambda v, low, high: (
                round(v) - v if low <= v <= high else 0.0
            ),
        },
    )


def _gradients(upstream: float, v: float, low: float, high: float) -> tuple[float, float]:
    """Return the library's gradients for x and for S at S = 1, where x = v."""
    x, scale = torch.tensor([v], requires_grad=True), torch.ones(1, requires_grad=True)
    grid = QParams(scale, torch.zeros(1, dtype=torch.int32), int(low), int(high))
    (upstream * straight_through(x, grid)).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert scale.grad is not None
    return float(x.grad), float(scale.grad)


def check_experiments(function: Callable[[Sequence[str], Callable[[str], Any]], Any]) -> Feedback:
    """Check functions made in a loop: called with paths and ``run``, it returns a list of functions.

    The k-th of them, called without arguments, has to call ``run`` with the k-th path and return the result.
    """
    paths = ["stem", "block", "classifier"]
    called: list[str] = []

    def run(path: str) -> str:
        called.append(path)
        return path

    try:
        made = function(list(paths), run)
        if made is None or made is ...:
            return Feedback(
                "open", "return the list of functions in the place of ..., and run both cells again."
            )
        early = list(called)
        returned = [make() for make in made]
    except Exception as error:  # whatever a student's code raises belongs into the feedback
        told = f"your code stopped with {type(error).__name__}: {error}."
        return Feedback("wrong", f"{told} Return a list of functions that take no argument.")
    if returned == paths and not early:
        return Feedback("right", "each function has a layer of its own, whenever it is called.")
    said = (
        f"for the layers {', '.join(paths)} your functions run {', '.join(map(str, returned)) or 'nothing'}."
    )
    if early:
        slip = f"run was called for {', '.join(early)} while the list was made; put off the call."
    elif returned == [paths[-1]] * len(paths):
        slip = (
            "The name is looked up when a function is called, and by then the loop stands at its last layer: "
            "give each function the value, for example with functools.partial."
        )
    else:
        slip = "Expected one function a layer, in the same order, that returns what run returns."
    return Feedback("wrong", f"{said} {slip}")


def check_average_bits(function: Callable[[Sequence[int], Sequence[int]], float]) -> Feedback:
    """Check the bits a weight on average: called with bits and number of weights of each layer."""
    return check_function(
        function,
        [([4, 4], [10, 1000]), ([8, 2], [100, 900]), ([8, 4, 2], list(SIZES.values()))],
        lambda value, bits, sizes: math.isclose(value, _average(bits, sizes), rel_tol=1e-6),
        expected=_average,
        what="your average",
        why="a budget counts bytes: 8 bits for a small layer are nearly free, for a large one they are not.",
        mistakes={
            "This is the average over layers; large layers have to count for more.": lambda bits, sizes: (
                sum(bits) / len(bits)
            ),
            "This is the total of all bits; divide it by the number of weights.": lambda bits, sizes: (
                _average(bits, sizes) * sum(sizes)
            ),
            "Divide by the number of weights, not by the number of layers.": lambda bits, sizes: (
                _average(bits, sizes) * sum(sizes) / len(sizes)
            ),
        },
    )


def _average(bits: Sequence[int], sizes: Sequence[int]) -> float:
    return sum(width * size for width, size in zip(bits, sizes, strict=True)) / sum(sizes)


def allocation_rows() -> list[Row]:
    """Return the table of the allocation exercise, column heading → text."""
    return [
        {
            "layer": layer,
            "weights": f"{size:,}",
            **{f"loss at {width} bits": f"{LOSSES[layer][width]:g}" for width in WIDTHS},
        }
        for layer, size in SIZES.items()
    ]


def check_allocation(answer: object) -> Feedback:
    """Check layer → bits for the made-up layers: widths that exist, within the budget, the smallest loss."""
    what = f"a dictionary with the bits of {', '.join(SIZES)}"
    if not isinstance(answer, Mapping) or any(value in UNTOUCHED for value in answer.values()):
        touched = answer not in UNTOUCHED and not isinstance(answer, Mapping)
        return Feedback("wrong" if touched else "open", f"give {what}, and run both cells again.")
    if set(answer) != set(SIZES) or any(value not in WIDTHS for value in answer.values()):
        widths = ", ".join(map(str, WIDTHS))
        return Feedback("wrong", f"expected {what}, each one of {widths}; your answer is {dict(answer)}.")
    best = allocate(COSTS, LOSSES, BUDGET_BITS)
    cost = sum(COSTS[layer][width] for layer, width in answer.items())
    loss = sum(LOSSES[layer][width] for layer, width in answer.items())
    said = f"your choice takes {cost:,.0f} of {BUDGET_BITS:,} bits and loses {loss:.2f}"
    if cost > BUDGET_BITS:
        return Feedback("wrong", f"{said}: that is {cost - BUDGET_BITS:,.0f} bits too many.")
    if loss <= best.loss + 1e-9:
        return Feedback("right", f"{said}, and nothing within the budget loses less.")
    slip = (
        "The same bits everywhere is always allowed and rarely best. "
        if len(set(answer.values())) == 1
        else ""
    )
    return Feedback(
        "wrong",
        f"{said}, but {best.loss:.2f} is possible. {slip}Ask of each layer how much loss one more bit a "
        "weight saves, and how many bits that takes.",
    )
