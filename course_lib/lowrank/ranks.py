"""Which rank? By the energy that must be kept, or by a budget of MACs for all layers together.

The energy of a weight is the sum of its squared entries, ‖W‖². What a factorization of smaller rank keeps of
it says how close it is: the squared relative error of the weight is 1 − energy_kept. A layer has many ways
to be written, each a `Choice` of method and rank with its MACs and the energy it keeps; the layer as it is
keeps all of it.

For a budget, minimize the energy lost, summed over the layers as fractions, subject to Σ MACs ≤ budget. This
is a knapsack with one choice a layer. Along the lower convex hull of its choices every layer offers steps
that each save MACs at a price in energy, dearer from step to step; taking the cheapest steps of all layers
until the budget is kept is optimal but for the last one. What that saves too much is spent again.

Worked example: layer a costs 100 MACs or 40 with 0.1 of its energy lost, layer b 100 or 60 with 0.02 lost.
b's step costs 0.02 / 40 a MAC saved and a's 0.1 / 60. For a budget of 170, b's step suffices; for 130, both
are taken; below 100 nothing helps.

Left out: how much the lost energy of a layer matters to the answer (layers count alike), and time: MACs saved
are not milliseconds saved.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from course_lib.errors import SettingError

DENSE = "dense"
"""The method of a layer that stays as it is."""


@dataclass(frozen=True)
class Choice:
    """One way to write a layer.

    Parameters
    ----------
    method
        ``"svd"``, ``"tucker"`` or ``"spatial"``; ``"dense"`` for the layer as it is.
    rank
        The number of channels between the thinner layers, in the order in which they are computed.
    macs
        For one sample.
    energy_kept
        In [0, 1].
    """

    method: str
    rank: tuple[int, ...]
    macs: int
    energy_kept: float


def cumulative_energy(squares: ArrayLike) -> NDArray[np.float64]:
    """Return the fraction of the energy in the first entries, for each number of them, along all axes.

    Parameters
    ----------
    squares
        Energies of single directions, (n,), such as squared singular values from the largest down; or of
        pairs of directions, (n, m). The entry [i, j] of the result is for the first i + 1 and j + 1.
    """
    sums = np.asarray(squares, np.float64)
    for axis in range(sums.ndim):
        sums = np.cumsum(sums, axis=axis)
    total = sums.reshape(-1)[-1]
    # A layer of zeros loses nothing, whatever its rank.
    kept: NDArray[np.float64] = np.minimum(sums / total, 1.0) if total > 0 else np.ones_like(sums)
    return kept


def check_energy(energy_kept: float) -> None:
    """Raise SettingError unless the fraction is in (0, 1]."""
    if not 0 < energy_kept <= 1:
        raise SettingError(
            f"energy_kept is {energy_kept!r}, but it is the fraction of the weights' energy to keep, above 0 "
            "and up to 1; try energy_kept=0.9."
        )


def best_choices(method: str, ranks: ArrayLike, macs: ArrayLike, energy_kept: ArrayLike) -> list[Choice]:
    """Return, by rising MACs, the choices for which no other one keeps as much with as few MACs.

    Parameters
    ----------
    ranks
        (n, number of ranks), with ``macs`` and ``energy_kept`` of shape (n,).
    """
    rows, costs, kept = np.asarray(ranks), np.asarray(macs), np.asarray(energy_kept, np.float64)
    order = np.lexsort((-kept, costs))
    highest_before = np.concatenate([[-1.0], np.maximum.accumulate(kept[order])[:-1]])
    return [
        Choice(method, tuple(map(int, rows[each])), int(costs[each]), float(kept[each]))
        for each in order[kept[order] > highest_before]
    ]


def cheapest_keeping(choices: Sequence[Choice], energy_kept: float) -> Choice:
    """Return the choice with the fewest MACs among those that keep this fraction of the energy.

    Raises
    ------
    SettingError
        If ``energy_kept`` is outside (0, 1].
    """
    check_energy(energy_kept)
    return min((each for each in choices if each.energy_kept >= energy_kept - 1e-12), key=lambda c: c.macs)


def within_budget(choices: Mapping[str, Sequence[Choice]], macs_budget: float) -> dict[str, Choice]:
    """Return a choice for each layer such that all together keep the budget and lose little energy.

    Parameters
    ----------
    choices
        Path of a layer → its choices, of which one keeps all of the energy.
    macs_budget
        The most MACs that the layers may cost together.

    Raises
    ------
    SettingError
        If even the smallest choices cost more; the message tells how much.
    """
    smallest = sum(min(each.macs for each in row) for row in choices.values())
    if not macs_budget >= smallest:
        raise SettingError(
            f"The budget is {macs_budget:,} MACs, but even with rank 1 wherever that saves any the model "
            f"costs {smallest:,}; pass a budget of at least that."
        )
    hulls = {path: _hull(row) for path, row in choices.items()}
    chosen = {path: hull[0] for path, hull in hulls.items()}
    steps = [
        (_price(before, after), path, after)
        for path, hull in hulls.items()
        for before, after in pairwise(hull)
    ]
    for _, path, after in sorted(steps, key=lambda step: step[0]):
        if _total(chosen) <= macs_budget:
            break
        chosen[path] = after
    return _spend(chosen, choices, macs_budget)


def _hull(choices: Sequence[Choice]) -> list[Choice]:
    """Return the lower convex hull from the choice that keeps most to the cheapest one, prices rising."""
    by_macs = sorted(choices, key=lambda each: (-each.macs, -each.energy_kept))
    best = max(choices, key=lambda each: (each.energy_kept, -each.macs))
    hull = [best]
    for each in by_macs:
        if each.macs >= best.macs:
            continue
        while len(hull) > 1 and _price(hull[-2], hull[-1]) >= _price(hull[-2], each):
            hull.pop()
        if each.macs < hull[-1].macs:
            hull.append(each)
    return hull


def _price(before: Choice, after: Choice) -> float:
    """Return the energy lost for each MAC that the step saves."""
    return (before.energy_kept - after.energy_kept) / (before.macs - after.macs)


def _spend(
    chosen: dict[str, Choice], choices: Mapping[str, Sequence[Choice]], budget: float
) -> dict[str, Choice]:
    """Return better choices as long as the budget has room for one, the greatest gain first."""
    while True:
        room = budget - _total(chosen)
        gains = [
            (each.energy_kept - chosen[path].energy_kept, path, each)
            for path, row in choices.items()
            for each in row
            if each.macs - chosen[path].macs <= room
        ]
        gain, path, better = max(gains, key=lambda entry: entry[0], default=(0.0, "", None))
        if better is None or gain <= 0:
            return chosen
        chosen = {**chosen, path: better}


def _total(chosen: Mapping[str, Choice]) -> int:
    return sum(each.macs for each in chosen.values())
