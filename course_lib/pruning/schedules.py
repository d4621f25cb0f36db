"""Schedules: how sparse a model is to be at each step on the way to its target.

With f = step / steps, the part of the way that is done, and s_i and s_f the sparsities at start and end:

- one-shot: s_f at once, from the first step on
- linear: s = s_f + (s_i − s_f)·(1 − f)
- cubic: s = s_f + (s_i − s_f)·(1 − f)³ (Zhu and Gupta 2018, eq. 1): much while there is much to spare, and
  less and less towards the end

Worked example, cubic to 0.8 in 4 steps: 0.8·(1 − (3/4)³) = 0.4625, then 0.7, 0.7875 and 0.8.
"""

from collections.abc import Callable
from dataclasses import dataclass

from course_lib.errors import SettingError
from course_lib.registry import look_up

REMAINING: dict[str, Callable[[float], float]] = {
    "one_shot": lambda f: 0.0 if f > 0 else 1.0,
    "linear": lambda f: 1 - f,
    "cubic": lambda f: (1 - f) ** 3,
}
"""Shape of a schedule: part of the way done → part of the sparsity still missing, in [0, 1]."""


@dataclass(frozen=True)
class Schedule:
    """From step 0, at ``initial``, to step ``steps``, at ``target``.

    Parameters
    ----------
    target
        Sparsity (or pruning ratio) at the end, in [0, 1).
    steps
        How many steps lead there, at least 1.
    shape
        ``"one_shot"``, ``"linear"`` or ``"cubic"``.
    initial
        Sparsity before the first step, at least 0 and at most ``target``.

    Raises
    ------
    SettingError
        If a number is out of its range.
    UnknownNameError
        If there is no such shape.
    """

    target: float
    steps: int = 5
    shape: str = "cubic"
    initial: float = 0.0

    def __post_init__(self) -> None:
        look_up(REMAINING, "schedule", self.shape)
        if not 0 <= self.initial <= self.target < 1:
            raise SettingError(
                f"The schedule goes from {self.initial} to {self.target}; expected 0 ≤ initial ≤ target < 1."
            )
        if self.steps < 1:
            raise SettingError(f"steps is {self.steps}; a schedule needs at least 1 step to its target.")

    def at(self, step: int) -> float:
        """Return the sparsity after ``step`` steps; it stays at the target after the last.

        Raises
        ------
        SettingError
            If ``step`` is below 0.
        """
        if step < 0:
            raise SettingError(f"step is {step}; steps count from 0, before anything is pruned.")
        if step >= self.steps:
            return self.target
        remaining = REMAINING[self.shape](step / self.steps)
        return self.target + (self.initial - self.target) * remaining
