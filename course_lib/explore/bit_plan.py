"""Bits for every layer from measured sensitivities: by integer programme, and by the rule of thumb.

Both keep an average number of bits a weight, so that they can be compared with each other and with the same
bits for all layers.
"""

import math

from course_lib.errors import MeasurementError, SettingError
from course_lib.explore.assignment import WIDTHS
from course_lib.explore.layer_sensitivity import SensitivityMap
from course_lib.quantization.allocation import allocate, log_rule

RULE_WIDTH = 4
"""The rule takes a layer's sensitivity at this width."""

ALPHA = 1 / math.log(4)
"""One bit less makes the error's energy four times as large: this α gives layers errors that hurt equally."""

LEAST = 1e-12
"""Stands for a sensitivity of zero, which has no logarithm."""


def programme_bits(sensitivities: SensitivityMap, average: float) -> dict[str, int]:
    """Return layer → bits with the smallest sum of divergences, at most ``average`` bits a weight.

    Raises
    ------
    SettingError
        If no bits keep that average; the message tells the smallest that can be kept.
    MeasurementError
        If the sensitivities are not all measured.
    """
    _check(sensitivities, average)
    costs = {
        layer: {width: float(width * count) for width in WIDTHS}
        for layer, count in sensitivities.params.items()
    }
    losses = {
        layer: {width: row[width].divergence for width in WIDTHS}
        for layer, row in sensitivities.losses.items()
    }
    return allocate(costs, losses, average * sum(sensitivities.params.values())).bits


def rule_bits(sensitivities: SensitivityMap, average: float, alpha: float = ALPHA) -> dict[str, int]:
    """Return layer → bits by base + α · ln(S), with the largest base that keeps ``average`` bits a weight.

    S is the divergence with this layer alone at 4 bits.

    Raises
    ------
    SettingError
        If no bits keep that average, or α is negative or not finite.
    MeasurementError
        If the sensitivities are not all measured.
    """
    _check(sensitivities, average)
    if not 0 <= alpha < math.inf:
        raise SettingError(
            f"alpha is {alpha}; expected a finite number of at least 0, such as {ALPHA:.2f}: the bits gained "
            "for each factor e in the sensitivity."
        )
    found = {layer: max(LEAST, row[RULE_WIDTH].divergence) for layer, row in sensitivities.losses.items()}
    steps = [alpha * math.log(value) for value in found.values()]
    low, high = WIDTHS[0] - max(steps), WIDTHS[-1] - min(steps)  # all layers at 2 bits, all at 8
    budget = average * sum(sensitivities.params.values())

    def bits(base: float) -> dict[str, int]:
        return log_rule(found, base, alpha, WIDTHS)

    def fits(base: float) -> bool:
        return sum(width * sensitivities.params[layer] for layer, width in bits(base).items()) <= budget

    if fits(high):
        return bits(high)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return bits(low)


def _check(sensitivities: SensitivityMap, average: float) -> None:
    if not average >= WIDTHS[0]:
        raise SettingError(
            f"No bits keep an average of {average:g} bits a weight; the smallest that can be "
            f"kept is {WIDTHS[0]}, with every layer at its fewest."
        )
    if not sensitivities.complete:
        raise MeasurementError(
            f"Only {sensitivities.share:.0%} of the sensitivities are measured; call finish() on their "
            "measurement first."
        )
