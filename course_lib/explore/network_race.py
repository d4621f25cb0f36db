"""Time many networks in turns: one picture, one thread of ONNX Runtime, every network once a round.

What the machine does falls on all of them alike, so that their ratios hold although single times jump. A
race is run in laps of more and more rounds; each lap is a measurement of its own and takes the place of the
one before, so that there is a first answer soon and a good one later.

Worked example: 14 networks of 0.2 ms each take 2.8 ms a round. A first lap of 10 rounds is there in 28 ms,
and the last one of 400 rounds takes 1.1 s.
"""

from collections.abc import Callable

import numpy as np

from course_lib.benchmarking import LatencyComparison, compare_latency
from course_lib.errors import CourseError, SettingError
from course_lib.runtimes.onnx_runtime import OnnxRuntime

LAPS = (10, 40, 150, 400)
"""Rounds of each lap."""

BASELINE = "depthwise"
THREADS = 1


class RaceEnded(CourseError):
    """The race was given up, because somebody asked for it."""


class NetworkRace:
    """Networks that are timed against each other; they may join one by one.

    Parameters
    ----------
    given_up
        Asked before every run.
    baseline
        The network that ratios refer to; the first that joined until it is there.
    """

    def __init__(self, given_up: Callable[[], bool] = lambda: False, baseline: str = BASELINE) -> None:
        self._given_up, self._baseline = given_up, baseline
        self._calls: dict[str, Callable[[], object]] = {}

    @property
    def baseline(self) -> str:
        """The network that the next lap's ratios refer to."""
        return self._baseline if self._baseline in self._calls else next(iter(self._calls), "")

    def join(self, name: str, content: bytes) -> None:
        """Let a network take part, from its ONNX file; it gets one picture at a time.

        Raises
        ------
        ModelError
            If it cannot be loaded.
        SettingError
            If more than its batch axis is free.
        """
        model = OnnxRuntime().load(content, threads=THREADS)
        picture_shape = [axis for axis in (model.input_shape or ())[1:] if axis is not None]
        if not picture_shape or len(picture_shape) + 1 < len(model.input_shape or ()):
            raise SettingError(
                f"{name} has an input of shape {model.input_shape}; export it for pictures of one size, with "
                "no free axis but the first."
            )
        picture = np.random.default_rng(0).standard_normal((1, *picture_shape), np.float32)

        def run() -> object:
            if self._given_up():
                raise RaceEnded("The race was given up; start it again.")
            return model.run(picture)

        self._calls[name] = run

    def lap(self, rounds: int) -> LatencyComparison:
        """Return the latencies of all networks over so many rounds, after two that do not count.

        Raises
        ------
        RaceEnded
            Once ``given_up()`` says True.
        SettingError
            If no network takes part, or ``rounds`` is below 1.
        """
        if not self._calls:
            raise SettingError("No network takes part in the race; call join first.")
        return compare_latency(self._calls, baseline=self.baseline, warmup=2, runs=rounds, threads=THREADS)
