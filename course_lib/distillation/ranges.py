"""The ranges of the numbers that methods share: temperature, alpha, and weights of losses."""

from numbers import Real

from course_lib.errors import SettingError

LOWEST, HIGHEST = 0.01, 1000.0
"""Temperatures that are accepted; beyond them nothing is left to learn, and float32 soon runs out."""


def require_temperature(temperature: float) -> None:
    """Raise a SettingError unless scores can be divided by this temperature."""
    if not _within(temperature, LOWEST, HIGHEST):
        raise SettingError(
            f"temperature is {_shown(temperature)}, but scores are divided by it; expected {LOWEST:g} to "
            f"{HIGHEST:,.0f}, and 3 to 10 to distil."
        )


def require_alpha(alpha: float) -> None:
    """Raise a SettingError unless alpha is a weight in [0, 1]."""
    if not _within(alpha, 0, 1):
        raise SettingError(
            f"alpha is {_shown(alpha)}, but it is the share of the soft loss in the whole; "
            "take one in [0, 1]."
        )


def require_weights(**weights: float) -> None:
    """Raise a SettingError unless every weight is a finite number of at least 0."""
    for name, weight in weights.items():
        if not _within(weight, 0) or weight == float("inf"):
            raise SettingError(f"{name} is {_shown(weight)}, but a loss is multiplied by it; take 0 or more.")


def _within(number: object, low: float, high: float = float("inf")) -> bool:
    return isinstance(number, Real) and low <= float(number) <= high


def _shown(number: object) -> str:
    return f"{float(number):.12g}" if isinstance(number, Real) else repr(number)
