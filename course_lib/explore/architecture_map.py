"""The engine behind the architecture map: every network of the zoo, surveyed and timed in the background.

A thread surveys one network after the other (`network_survey`; exporting takes seconds the first time) and
then times all of them in turns, in laps of more and more rounds (`network_race`). Whoever asks gets what is
known at that moment, without waiting: accuracies, MACs and parameters of the zoo are on the cards and there
at once, and latencies come in and are refined.

Worked example: of two networks one is surveyed. The state has the figures of both, the survey of one, and no
latencies; a moment later there is a lap over 10 rounds, with latencies for both.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from course_lib.benchmarking import LatencyComparison
from course_lib.errors import CourseError
from course_lib.explore.model_source import ModelSource
from course_lib.explore.network_race import LAPS, NetworkRace, RaceEnded
from course_lib.explore.network_survey import (
    CardFigures,
    NetworkSurvey,
    Plan,
    card_figures,
    survey_network,
)

PATIENCE_S = 1.0
"""Surveys that take longer are interrupted by a first lap of those that are ready."""

PAUSE_S = 0.05
"""Between two laps, which leaves the machine to what draws the result."""


@dataclass(frozen=True)
class MapState:
    """What is known at a moment.

    Parameters
    ----------
    names
        All networks of the map.
    figures
        Name → accuracy, MACs and parameters.
    surveys
        Name → survey, of those that are ready.
    latencies
        The last lap; its networks may still be fewer than the surveyed ones.
    failed
        Name → the sentence that says why a network is left out.
    doing
        What is being done, in words; empty once everything is measured.
    """

    names: tuple[str, ...]
    figures: Mapping[str, CardFigures]
    surveys: Mapping[str, NetworkSurvey] = field(default_factory=dict)
    latencies: LatencyComparison | None = None
    failed: Mapping[str, str] = field(default_factory=dict)
    doing: str = "Starting …"

    @property
    def finished(self) -> bool:
        """Whether nothing is going to change by itself."""
        return not self.doing

    @property
    def pending(self) -> tuple[str, ...]:
        """The networks that are not timed yet."""
        timed = self.latencies.results if self.latencies else {}
        return tuple(name for name in self.names if name not in timed and name not in self.failed)

    def records(self) -> list[dict[str, Any]]:
        """Return a plain record of each network that is timed, as `course_lib.edge` chooses from."""
        if self.latencies is None:
            return []
        results = self.latencies.results
        return [self.surveys[name].record(results[name].p50_ms) for name in self.names if name in results]


class MapEngine:
    """Surveys and times networks in a thread of its own.

    Parameters
    ----------
    sources
        Name → a zoo network's name, or a PyTorch module for pictures of (1, 28, 28).
    plan
        Gives the activation memory of a module for an input: `course_lib.edge.memory_plan.plan_memory`.
    laps
        Rounds of each lap.

    Raises
    ------
    UnknownNameError
        If a name is not in the zoo.
    """

    def __init__(self, sources: Mapping[str, ModelSource], plan: Plan, *, laps: Sequence[int] = LAPS) -> None:
        self._sources, self._plan, self._laps = dict(sources), plan, tuple(laps)
        figures = {name: card_figures(source) for name, source in sources.items() if isinstance(source, str)}
        self._state = MapState(tuple(sources), figures)
        self._news = threading.Condition()
        self._closed = self._again = False
        self._race = NetworkRace(lambda: self._closed)
        threading.Thread(target=self._run, daemon=True, name="architecture-map").start()

    @property
    def state(self) -> MapState:
        """What is known now."""
        return self._state

    def wait_for_news(self, seen: MapState, timeout_s: float) -> MapState:
        """Return a state other than ``seen`` as soon as there is one, or the same after so many seconds."""
        with self._news:
            self._news.wait_for(lambda: self._state is not seen, timeout_s)
            return self._state

    def measure_again(self) -> None:
        """Run all laps anew, once the present ones are done; returns at once."""
        with self._news:
            self._again = True
            if self._state.finished:
                self._state = replace(self._state, doing="Timing again …")
            self._news.notify_all()

    def close(self) -> None:
        """End the thread."""
        with self._news:
            self._closed = True
            self._news.notify_all()

    def _run(self) -> None:
        try:
            self._survey_all()
            while not self._closed:
                self._run_laps()
                with self._news:
                    self._news.wait_for(lambda: self._again or self._closed)
                    self._again = False
        except RaceEnded:
            return
        except Exception as error:  # a thread must not end without a word
            self._publish(doing="", failed=dict.fromkeys(self._state.pending, _sentence(error)))

    def _survey_all(self) -> None:
        last = time.monotonic()
        for number, (name, source) in enumerate(self._sources.items(), start=1):
            self._publish(doing=f"Preparing {name}, network {number} of {len(self._sources)} …")
            try:
                survey = survey_network(name, source, self._plan)
                self._race.join(name, survey.content)
            except Exception as error:  # whatever a student's model raises; the others go on
                self._publish(failed={**self._state.failed, name: _sentence(error)})
                continue
            if self._closed:
                return
            self._publish(
                surveys={**self._state.surveys, name: survey},
                figures={**self._state.figures, name: survey.figures},
            )
            if time.monotonic() - last > PATIENCE_S:
                self._publish(latencies=self._race.lap(self._laps[0]))
                last = time.monotonic()

    def _run_laps(self) -> None:
        count = len(self._state.surveys)
        if not count:
            self._publish(doing="")
            return
        for number, rounds in enumerate(self._laps, start=1):
            words = f"Timing {count} networks in turns: lap {number} of {len(self._laps)}, {rounds} rounds …"
            self._publish(doing=words)
            time.sleep(PAUSE_S)
            latencies = self._race.lap(rounds)
            done = number == len(self._laps) and not self._again
            self._publish(latencies=latencies, doing="" if done else words)

    def _publish(self, **changes: Any) -> None:
        with self._news:
            self._state = replace(self._state, **changes)
            self._news.notify_all()


def _sentence(error: Exception) -> str:
    return str(error) if isinstance(error, CourseError) else f"{type(error).__name__}: {error}"
