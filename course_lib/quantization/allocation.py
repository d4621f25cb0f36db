"""Which layer gets how many bits? By a rule of thumb, and by an integer programme.

The rule gives more bits to more sensitive layers,

    bits_i = base + α · log(S_i),

rounded to a width that exists. It knows neither what a bit costs in each layer nor any budget. The programme
knows both. With x_ib = 1 where layer i gets b bits, losses l_ib and costs c_ib (bytes, or milliseconds),

    minimize Σ l_ib·x_ib    subject to Σ c_ib·x_ib ≤ budget,  Σ_b x_ib = 1 for each layer,  x_ib in {0, 1}

(Yao et al. 2021). That the losses of layers add up is an assumption; measure the model that comes out.

Worked example, two layers of 10 and 100 weights, 2 or 4 bits, a budget of 400 bits. Both at 4 bits take 440.
Losses of 0.5 and 0.1 at 2 bits, none at 4: giving the large layer 4 bits takes 420, so the small one gets 4
and the large one 2 (240 bits, loss 0.1).

Left out: layers that must share a width because one kernel runs them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from course_lib.errors import SettingError


@dataclass(frozen=True)
class Allocation:
    """Bits of each layer, what they cost together, and the sum of their losses."""

    bits: dict[str, int]
    cost: float
    loss: float


def log_rule(
    sensitivities: Mapping[str, float], base: float, alpha: float, choices: Sequence[int] = range(2, 9)
) -> dict[str, int]:
    """Return path → the choice nearest to base + alpha · ln(S), the wider one of two equally near.

    Parameters
    ----------
    sensitivities
        Path of a layer → S > 0, for example the ``quadratic`` part of its Fisher score at one bit width.
    base
        The bits of a layer with S = 1.
    alpha
        Bits gained for each factor e in S.
    choices
        The widths that exist.

    Raises
    ------
    SettingError
        If a sensitivity is not above zero, or there are no choices.
    """
    if not choices:
        raise SettingError("log_rule got no choices; pass the bit widths that exist, such as (2, 4, 8).")
    bits = {}
    for path, sensitivity in sensitivities.items():
        if not 0 < sensitivity < math.inf:
            raise SettingError(
                f"The sensitivity of {path} is {sensitivity!r}, which has no logarithm; pass a number above "
                "0, such as the quadratic part of its Fisher score."
            )
        wanted = base + alpha * math.log(sensitivity)
        bits[path] = min(choices, key=lambda width: (abs(width - wanted), -width))
    return bits


def allocate(
    costs: Mapping[str, Mapping[int, float]], losses: Mapping[str, Mapping[int, float]], budget: float
) -> Allocation:
    """Return the bits a layer with the smallest sum of losses among those that keep the budget.

    Parameters
    ----------
    costs
        Path of a layer → bits → cost, in any unit: see `weight_bits`, or pass measured milliseconds.
    losses
        Path of a layer → bits → loss, for the same layers and widths; see `SensitivityTable.divergences`.
    budget
        The largest sum of costs allowed.

    Raises
    ------
    SettingError
        If the budget is below the smallest possible cost (which the message tells), the tables differ in
        their layers or widths, or a number is not finite.
    """
    _check(costs, losses)
    options = [(path, width) for path, row in costs.items() for width in row]
    cost = np.array([costs[path][width] for path, width in options])
    loss = np.array([losses[path][width] for path, width in options])
    layer = np.array([[path == other for path, _ in options] for other in costs], float)
    cheapest = {path: min(row, key=lambda width: row[width]) for path, row in costs.items()}
    smallest = sum(costs[path][width] for path, width in cheapest.items())
    if not budget >= smallest:
        raise SettingError(
            f"The budget is {budget!r}, but even the cheapest bits of every layer cost {smallest!r}; pass a "
            "budget of at least that."
        )

    # Half a second of import, which only those wait for who ask.
    from scipy.optimize import Bounds, LinearConstraint, milp

    def total(table: Mapping[str, Mapping[int, float]], bits: Mapping[str, int]) -> float:
        return sum(table[path][width] for path, width in bits.items())

    # The solver's tolerances are absolute, about 1e-6: costs near 1 and losses up to 1e4 suit them.
    unit, scale = np.abs(cost).max() or 1.0, 1e4 / (np.ptp(loss) or 1.0)
    # Where its tolerance let the budget be overdrawn, a slightly smaller one is solved.
    for limit in (budget, budget - 1e-5 * unit):
        found = milp(
            scale * (loss - loss.min()),
            integrality=np.ones(len(options)),
            bounds=Bounds(0, 1),
            constraints=[LinearConstraint(layer, 1, 1), LinearConstraint(cost / unit, ub=limit / unit)],
            options={"mip_rel_gap": 0.0},
        )
        if found.x is None:
            break
        bits = {path: width for (path, width), share in zip(options, found.x, strict=True) if share > 0.5}
        if total(costs, bits) <= budget:
            return Allocation(bits, total(costs, bits), total(losses, bits))
    return Allocation(cheapest, smallest, total(losses, cheapest))


def _check(costs: Mapping[str, Mapping[int, float]], losses: Mapping[str, Mapping[int, float]]) -> None:
    if not costs:
        raise SettingError("allocate got no layers; pass a table of costs with at least one.")
    for path in [*costs, *losses]:
        widths, other = sorted(costs.get(path, {})), sorted(losses.get(path, {}))
        if widths != other or not widths:
            raise SettingError(
                f"The layer {path} has costs for {widths} bits and losses for {other} bits; pass both for "
                "the same widths, at least one."
            )
        if not np.isfinite([*costs[path].values(), *losses[path].values()]).all():
            raise SettingError(
                f"The layer {path} has a cost or loss that is not finite; leave its width out of both tables."
            )
