"""The tuner: which session options are fastest for this model, batch and machine, and is it true?

>>> tuning = tune_session("model.onnx", images[:1])  # doctest: +SKIP
>>> print(tuning)  # doctest: +SKIP
>>> model = tuning.best.load("model.onnx", images[:1])  # doctest: +SKIP

Two stages, first how a session computes, then how it keeps memory, each by successive halving: all candidates
are timed in a few rounds, in turns with the default; the better half is timed again in twice as many, and so
on. The winner of so many looks better than it is, because luck helped to choose it ("winner's curse"). So it
meets the default once more in fresh sessions, and only those rounds are reported. Where their interval
includes 1, or lies above, the default stays: tuning makes nothing slower beyond noise.

Threads that spin after a run (tens of milliseconds by default) take a core from whoever is timed next. So
before each timed run the process waits until it is idle, and the candidate runs once untimed: it is measured
as it would run by itself, one call after the other.

A candidate whose output differs from the default's is left out, such as an int8 model that is simulated in
floating point when its graph is not optimized.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from course_lib.benchmarking.checks import require_count
from course_lib.benchmarking.compare import LatencyComparison, Ratio
from course_lib.benchmarking.number_text import significant
from course_lib.benchmarking.table import MeasuredResult, Row
from course_lib.pipelines.ort_search import Refusal, Search, Trial, TuningProgress, compare_settings, steps_of
from course_lib.pipelines.ort_settings import (
    DEFAULT,
    SessionSetting,
    computing_settings,
    memory_settings,
    physical_cores,
)
from course_lib.runtimes.protocol import Array, ModelSource

FINALISTS = 2
"""So many ways to compute go on to the second stage, beside the default's."""


@dataclass(frozen=True, kw_only=True)
class Tuning(MeasuredResult):
    """The best setting, and the rounds that prove it.

    ``confirmation`` compares "default" and "candidate", the winner of the search, in fresh sessions.
    ``ratio`` is that of ``best`` to the default: exactly 1 where the default stays.
    """

    batch_shape: tuple[int, ...]
    candidate: SessionSetting
    confirmation: LatencyComparison
    trials: tuple[Trial, ...] = field(repr=False)
    refused: tuple[Refusal, ...]
    derived: ClassVar[tuple[str, ...]] = ("best", "ratio", "gain")

    @property
    def kept_default(self) -> bool:
        """Whether the winner was not faster beyond noise."""
        return self.confirmation.ratios["candidate"].verdict != "faster"

    @property
    def best(self) -> SessionSetting:
        """The setting to use."""
        return DEFAULT if self.kept_default else self.candidate

    @property
    def ratio(self) -> Ratio:
        """The latency of ``best`` divided by the default's, at most 1."""
        return self.confirmation.ratios["default" if self.kept_default else "candidate"]

    @property
    def gain(self) -> float:
        """The default's latency divided by that of ``best``, at least 1."""
        return 1 / self.ratio.value

    def table_rows(self) -> list[Row]:
        rows = self.confirmation.table_rows()
        settings = (DEFAULT, self.candidate)
        return [{"setting": str(setting), **row} for setting, row in zip(settings, rows, strict=True)]

    def notes(self) -> list[str]:
        found = self.confirmation.ratios["candidate"]
        figures = f"{significant(found.value)} ({found.interval.text()}) of the default's latency"
        tried = len({trial.setting for trial in self.trials})
        verdict = (
            f"None of {tried} settings is faster than the default beyond noise: the best, "
            f"{self.candidate}, has {figures}; the default stays."
            if self.kept_default
            else f"The best of {tried} settings has {figures}: {self.candidate}."
        )
        left_out = [f"Left out: {each.setting} ({each.reason})" for each in self.refused]
        return [verdict, *left_out, *self.confirmation.notes()]


def tune_session(
    source: ModelSource,
    batch: Array,
    *,
    max_threads: int | None = None,
    rounds: int = 8,
    confirmation_rounds: int = 200,
    absolute_tolerance: float = 1e-4,
    relative_tolerance: float = 1e-3,
    seed: int = 0,
    on_progress: Callable[[TuningProgress], None] | None = None,
) -> Tuning:
    """Search the session options that run a model fastest on this machine, for batches like ``batch``.

    Parameters
    ----------
    source
        An ONNX file or its content, with one input and one output.
    max_threads
        Up to how many threads; the physical cores when left out.
    rounds, confirmation_rounds
        Rounds of the first comparison of each stage, at least 6, doubled with each halving; rounds of the
        winner against the default, at least 30.
    absolute_tolerance, relative_tolerance
        How far a candidate's output may lie from the default's; see `check_parity`.
    seed
        Of the groups and of the order within the rounds.
    on_progress
        Called before each group of candidates; what it raises ends the search.

    Raises
    ------
    SettingError
        If a number is outside its range.
    ModelError, MissingPackageError
        If the default session cannot load or run the model.
    """
    largest = physical_cores() if max_threads is None else require_count("max_threads", max_threads, 1)
    require_count("rounds", rounds, 6)
    require_count("confirmation_rounds", confirmation_rounds, 30)
    tolerances = (absolute_tolerance, relative_tolerance)
    search = Search(source, batch, tolerances, rounds, np.random.default_rng(seed), on_progress)
    ways = computing_settings(largest)
    search.total = steps_of(len(ways), FINALISTS) + 1
    search.total += steps_of((FINALISTS + 1) * len(memory_settings(DEFAULT)), 1)
    finalists = search.halve("how to compute", ways, FINALISTS)
    second = [each for way in (DEFAULT, *finalists) for each in memory_settings(way)]
    (winner,) = search.halve("how to keep memory", second, 1) or [DEFAULT]
    search.tell("confirmation")
    confirmation = compare_with_default(source, batch, winner, confirmation_rounds, seed=seed)
    return Tuning(
        machine=confirmation.machine,
        batch_shape=batch.shape,
        candidate=winner,
        confirmation=confirmation,
        trials=tuple(search.trials),
        refused=tuple(search.refused),
    )


def compare_with_default(
    source: ModelSource, batch: Array, setting: SessionSetting, rounds: int, *, seed: int = 0
) -> LatencyComparison:
    """Time a setting ("candidate") in turns with the default ("default"), in fresh sessions."""
    return compare_settings(
        source, batch, {"default": DEFAULT, "candidate": setting}, rounds, "default", seed
    )
