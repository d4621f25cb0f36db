"""Soft targets of known scores, in NumPy: what a temperature makes of them, their entropy, their divergence.

    p_i = exp(z_i / T) / Σ_j exp(z_j / T)                       (Hinton et al. 2015, equation 1)

with z the scores of one image over C classes. T = 1 is the ordinary softmax; a larger T moves the targets
towards 1 / C each, a smaller one towards 1 for the largest score. Which class is the largest never changes.

Worked example: z = (ln 9, 0) has the soft targets (0.9, 0.1) at T = 1. At T = 2 they are 3 / (3 + 1) = 0.75
and 0.25, of entropy 0.75 · log₂(4 / 3) + 0.25 · log₂ 4 = 0.811 bits, of at most log₂ 2 = 1.
"""

import math

import numpy as np
from numpy.typing import NDArray

from course_lib.distillation.ranges import require_temperature

Numbers = NDArray[np.float64]


def log_soft_targets(scores: Numbers, temperature: float) -> Numbers:
    """Return the natural logarithms of the soft targets, (N, C) as the scores.

    Raises
    ------
    SettingError
        If the temperature is not 0.01 to 1,000.
    """
    require_temperature(temperature)
    shifted = (scores - scores.max(1, keepdims=True)) / temperature
    return np.asarray(shifted - np.log(np.exp(shifted).sum(1, keepdims=True)))


def soft_targets(scores: Numbers, temperature: float) -> Numbers:
    """Return the soft targets, (N, C) in [0, 1], each row of sum 1; exceptions as for `log_soft_targets`."""
    return np.exp(log_soft_targets(scores, temperature))


def entropy_bits(log_targets: Numbers) -> Numbers:
    """Return −Σ p log₂ p of each row, (N,), from 0 for certainty to log₂ C for an even spread."""
    return np.asarray(-(np.exp(log_targets) * log_targets).sum(1) / math.log(2))


def divergence_nats(teacher_log: Numbers, student_log: Numbers) -> Numbers:
    """Return KL(teacher ‖ student) = Σ p (ln p − ln q) of each row, (N,), at least 0 but for rounding.

    Times T² it is the soft part of the distillation loss: gradients of soft targets shrink as 1 / T².
    """
    return np.asarray((np.exp(teacher_log) * (teacher_log - student_log)).sum(1))
