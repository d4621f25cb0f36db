"""Giving up a measurement that nobody waits for any more."""

import time
from collections.abc import Callable

from course_lib.errors import CourseError

PAUSE_S = 0.05
"""Between the first result and a measurement, which would take a core from what draws the result."""


class Cancelled(CourseError):
    """The measurement was given up, because somebody asked for it."""

    def __init__(
        self, sentence: str = "The measurement was given up for a newer one; ask for it again."
    ) -> None:
        super().__init__(sentence)


def cancelled_meanwhile(cancelled: Callable[[], bool], pause_s: float = PAUSE_S) -> bool:
    """Wait for the page to draw the first result, and return whether the controls moved on meanwhile."""
    give_up = time.monotonic() + pause_s
    while time.monotonic() < give_up:
        if cancelled():
            return True
        time.sleep(pause_s / 10)
    return cancelled()
