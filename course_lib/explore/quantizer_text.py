"""Why a measured signal-to-noise ratio is not on the line of 6.02 dB a bit, in one sentence."""

import math
from dataclasses import dataclass

NEAR_DB = 1.0
"""Losses and gains below this are not worth a reason."""

WIDE = 2.5
"""From this crest factor on, few values use the outer steps."""


@dataclass(frozen=True)
class Distance:
    """The measured ratio, the line's, and what may lie between them.

    Parameters
    ----------
    measured_db, ideal_db
        The signal-to-noise ratio, and that of a sine which fills the range.
    loading_db
        What is lost because the values fill the range less than the sine does; negative where they fill it
        more.
    clipped
        How many values lie beyond the ends of the grid.
    clipping_share
        Share of the noise that they make, in [0, 1].
    lost
        Share of the values other than 0 that become 0, in [0, 1].
    outlier_db
        What the outlier adds to the loading; 0 without one.
    half_empty
        Whether the grid is symmetric although all values have one sign.
    """

    measured_db: float
    ideal_db: float
    loading_db: float
    clipped: int
    clipping_share: float
    lost: float
    outlier_db: float
    half_empty: bool

    @property
    def crest_factor(self) -> float:
        """Half of the range over the root mean square; √2 for a sine."""
        return math.sqrt(2) * 10 ** (self.loading_db / 20)


def explain(d: Distance) -> str:
    """Return the distance from the line and its main reason."""
    if math.isinf(d.measured_db):
        return "Every value lies exactly on the grid: there is no error to compare with the line."
    below = d.ideal_db - d.measured_db
    if abs(below) < NEAR_DB:
        return (
            f"Within {NEAR_DB:.0f} dB of the line: the values fill the grid about as well as its sine does."
        )
    return f"{abs(below):.1f} dB {'below' if below > 0 else 'above'} the line: {_reason(d, below)}."


def _reason(d: Distance, below: float) -> str:
    if d.clipping_share > 0.5:
        values = "value" if d.clipped == 1 else "values"
        return (
            f"{d.clipping_share:.0%} of the noise comes from the {d.clipped:,} {values} beyond the ends of "
            "the grid, and more bits do not mend that"
        )
    reach = f"the range reaches {d.crest_factor:.1f} times the root mean square of the values"
    if d.lost > 0.5 and below < d.loading_db - NEAR_DB:
        return f"{reach}, so that the steps are coarse and {d.lost:.0%} of the values become 0"
    if d.outlier_db > NEAR_DB:
        return f"for the sake of one outlier {reach} (a sine: 1.4), and all others share few steps"
    if d.half_empty:
        return "all values are on one side of 0, so that half of a symmetric grid stays empty"
    if d.crest_factor > WIDE:
        return f"{reach} (a sine: 1.4), so that few of them use the outer steps"
    fill = "less" if below > 0 else "more"
    return f"{reach} (a sine: 1.4), so that they fill the grid {fill} than the sine does"
