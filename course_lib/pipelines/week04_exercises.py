"""The exercises of week 4: a mask, 2:4, layers that go together, a schedule, and the rank that still saves.

Masks and schedules are compared with the library's, and the layers with what the dependency graph of the same
small network finds.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from course_lib.pipelines.exercises import UNTOUCHED, Feedback, check_function
from course_lib.pruning import Schedule, magnitude_mask, n_m_mask
from course_lib.pruning.structure.dependency import DependencyGraph

Mask = list[bool]

WEIGHTS = (
    ((3.0, -1.0, 2.0, -4.0), 0.5),
    ((0.1, -0.2, 0.3, -0.4, 0.5, -0.6, 0.7, -0.8), 0.25),
    ((1.0, -1.0, 1.0, 5.0), 0.5),
    ((-2.0, 7.0, 0.5, -0.1, 4.0), 0.0),
)
"""(weights, sparsity): the lesson's example, both signs, equal magnitudes, nothing to prune."""

ROWS = (
    ((1.0, -5.0, 2.0, 3.0, 0.1, 0.2, 7.0, 1.0),),
    ((9.0, 8.0, 7.0, 6.0, 0.4, -0.3, 0.2, -0.1),),
    ((-1.0, 2.0, -3.0, 4.0),),
)
"""Rows of weights: the lesson's example; a block of large and one of small weights; both signs."""

STEPS = ((1, 4, 0.8), (2, 4, 0.8), (3, 4, 0.9), (4, 4, 0.8), (0, 5, 0.5))
"""(step, steps, target)."""

SHAPES = ((128, 128), (96, 10), (64, 576), (3, 5))
"""(rows, columns): one whose break-even is a whole number, and others."""


class TiedNet(nn.Module):
    """The network of the exercise on tied layers; ``norm_a`` and ``norm_b`` are batch norms."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm_a = nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.b, self.norm_b = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.c = nn.Conv2d(8, 16, 3)
        self.d = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.norm_a(self.a(x)))
        y = torch.relu(h + self.norm_b(self.b(h)))
        scores: Tensor = self.d(torch.relu(self.c(y)).mean((2, 3)))
        return scores


LAYERS = ("a", "norm_a", "b", "norm_b", "c", "d")


def check_mask(function: Callable[[Sequence[float], float], Iterable[Any]]) -> Feedback:
    """Check the magnitude mask of a list of weights, True for those that stay."""

    def keep_all_but(order: Sequence[float], count: int) -> Mask:
        gone = sorted(range(len(order)), key=lambda index: order[index])[:count]
        return [index not in gone for index in range(len(order))]

    def right(weights: Sequence[float], sparsity: float) -> Mask:
        return [bool(each) for each in magnitude_mask(np.array(weights), sparsity)]

    def count(weights: Sequence[float], sparsity: float) -> int:
        return round(sparsity * len(weights))

    return _check_masks(
        function,
        WEIGHTS,
        right,
        what="your mask",
        why="the same mask goes onto every layer of a network, and one comparison turned round ruins it.",
        mistakes={
            "In a mask 1 means keep: yours keeps the weights that should go.": lambda weights, sparsity: [
                not each for each in right(weights, sparsity)
            ],
            "What counts is the magnitude |w|: −4 is a large weight, not a small one.": lambda *case: (
                keep_all_but(case[0], count(*case))
            ),
            "You have pruned the largest magnitudes.": lambda *case: keep_all_but(
                [-abs(w) for w in case[0]], count(*case)
            ),
            "Of equal magnitudes only as many may go as are needed, the first ones.": lambda *case: [
                abs(w) > sorted(map(abs, case[0]))[count(*case) - 1] if count(*case) else True
                for w in case[0]
            ],
        },
    )


def check_two_four(function: Callable[[Sequence[float]], Iterable[Any]]) -> Feedback:
    """Check the 2:4 mask of a row of weights, True for those that stay."""

    def right(weights: Sequence[float]) -> Mask:
        return [bool(each) for each in n_m_mask(np.array([weights]), 2, 4)[0]]

    def by(weights: Sequence[float], key: Callable[[float], float]) -> Mask:
        blocks = [weights[start : start + 4] for start in range(0, len(weights), 4)]
        return [w in sorted(block, key=key)[2:] for block in blocks for w in block]

    return _check_masks(
        function,
        ROWS,
        right,
        what="your 2:4 mask",
        why="tensor cores read two values and two places for each four weights; three would not fit.",
        mistakes={
            "This keeps half of the whole row; each four must keep two of their own.": lambda weights: [
                bool(each) for each in magnitude_mask(np.array(weights), 0.5)
            ],
            "What counts is the magnitude |w|, not the value.": lambda weights: by(weights, lambda w: w),
            "You have kept the two smallest of each four.": lambda weights: by(weights, lambda w: -abs(w)),
            "This keeps fixed places; choose the two largest of each four.": lambda weights: [
                index % 2 == 0 for index in range(len(weights))
            ],
        },
    )


def check_tied(answer: object) -> Feedback:
    """Check which layers of `TiedNet` lose a part together with a channel of ``a``: a set of names."""
    what = f"a set of names out of {', '.join(LAYERS)}"
    if any(answer is each for each in UNTOUCHED):
        return Feedback("open", f"give {what}, and run both cells again.")
    named = set(answer) if isinstance(answer, set | frozenset | list | tuple) else {answer}
    if not named <= set(LAYERS):
        return Feedback("wrong", f"expected {what}; your answer is {answer!r}.")
    group = DependencyGraph(TiedNet(), torch.zeros(1, 1, 8, 8)).group_of("a")
    needed = {part.path for part in group.slices}
    if named == needed:
        return Feedback("right", "all five of them, and b even twice: a row and a column. d reads c alone.")
    slips = {
        "a": "a makes the channel: it loses the filter itself.",
        "norm_a": "The batch norm behind a holds four numbers for each of its channels.",
        "b": "b reads the channel, so it loses a column; and a row too, for it is added to a's output.",
        "norm_b": "b's output is added to a's: b loses the same row, and norm_b what belongs to it.",
        "c": "c reads the sum: where a channel of it is gone, c loses a column.",
    }
    missing = [slip for layer, slip in slips.items() if layer in needed - named]
    if "d" in named:
        missing.append("d reads the channels of c, and these are all still there.")
    return Feedback("wrong", " ".join(["some are missing or too many.", *missing]))


def check_cubic(function: Callable[[int, int, float], float]) -> Feedback:
    """Check the sparsity after a step of the cubic schedule from 0 to the target."""

    def right(step: int, steps: int, target: float) -> float:
        return Schedule(target, steps).at(step)

    return check_function(
        function,
        STEPS,
        lambda value, *case: abs(value - right(*case)) < 1e-6,
        expected=right,
        what="your sparsity",
        why="much goes while much is superfluous, and little towards the end, where each weight matters.",
        mistakes={
            "This is the linear schedule.": lambda step, steps, target: target * step / steps,
            "This goes slowly first and fast at the end; what remains to be done falls with the cube.": (
                lambda step, steps, target: target * (step / steps) ** 3
            ),
            "This is the part that is still missing; subtract it from the target.": (
                lambda step, steps, target: target * (1 - step / steps) ** 3
            ),
            "Multiply by the target: the schedule ends there, not at 1.": (
                lambda step, steps, target: 1 - (1 - step / steps) ** 3
            ),
        },
    )


def check_rank(function: Callable[[int, int], float]) -> Feedback:
    """Check the largest rank with which two factors of an m × n matrix cost fewer MACs than the matrix."""

    def right(rows: int, columns: int) -> int:
        return (rows * columns - 1) // (rows + columns)

    return check_function(
        function,
        SHAPES,
        lambda value, *case: value == right(*case),
        expected=right,
        what="your rank",
        why="many a layer has no rank that saves anything and is still close to it.",
        mistakes={
            "A rank is a whole number: round down.": lambda m, n: m * n / (m + n),
            "At this rank the factors cost exactly as much as the matrix; fewer are asked for.": (
                lambda m, n: m * n // (m + n)
            ),
            "This is the full rank: the factors are larger than the matrix.": min,
            "Rounding up costs more than the matrix: round down.": lambda m, n: -(-m * n // (m + n)),
        },
    )


def _check_masks(
    function: Callable[..., Iterable[Any]],
    cases: Sequence[tuple[Any, ...]],
    right: Callable[..., Mask],
    *,
    what: str,
    why: str,
    mistakes: dict[str, Callable[..., Mask]],
) -> Feedback:
    """Call a student's function on cases and compare the masks, as `check_function` does with numbers."""
    returned: list[Mask | None] = []
    for case in cases:
        given = tuple(list(part) if isinstance(part, tuple) else part for part in case)
        try:
            mask: Any = function(*given)
            returned.append(None if mask is None or mask is ... else [bool(each) for each in mask])
        except Exception as error:  # whatever a student's code raises belongs into the feedback
            told = f"{what} stopped with {type(error).__name__}: {error}."
            return Feedback("wrong", f"{told} Return a list with True or False for each weight.")
    if all(mask is None for mask in returned):
        return Feedback("open", f"write {what} in the place of ..., and run both cells again.")
    for mask, case in zip(returned, cases, strict=True):
        if mask == right(*case):
            continue
        slips = [
            slip
            for slip, wrong in mistakes.items()
            if all(got == wrong(*each) for got, each in zip(returned, cases, strict=True))
        ]
        got = f"for {list(case[0])} {what} is {_bits(mask)}, expected {_bits(right(*case))}."
        return Feedback("wrong", " ".join([got, *slips, f"Why it matters: {why}"]))
    return Feedback(
        "right", f"{what} agrees with the library on all {len(cases)} cases. {why[0].upper()}{why[1:]}"
    )


def _bits(mask: object) -> str:
    return f"[{', '.join(str(int(each)) for each in mask)}]" if isinstance(mask, list) else repr(mask)
