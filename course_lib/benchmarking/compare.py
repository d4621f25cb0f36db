"""Which one is faster? Candidates take turns, so that whatever the machine does happens to all of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from course_lib.benchmarking.checks import explained_failure, require_callable, require_count
from course_lib.benchmarking.intervals import Interval, ratio_interval
from course_lib.benchmarking.latency import LatencyResult, garbage_collection_paused, time_once
from course_lib.benchmarking.machine import record_machine
from course_lib.benchmarking.number_text import significant
from course_lib.benchmarking.table import MeasuredResult, Row
from course_lib.errors import SettingError
from course_lib.registry import look_up


@dataclass(frozen=True)
class Ratio:
    """The median latency of a candidate divided by the baseline's, with its interval: below 1 is faster."""

    value: float
    interval: Interval

    @property
    def verdict(self) -> str:
        """Say faster or slower, where the interval leaves out 1; otherwise no difference was seen."""
        if self.interval.high < 1:
            return "faster"
        return "slower" if self.interval.low > 1 else "no difference seen"


@dataclass(frozen=True, kw_only=True)
class LatencyComparison(MeasuredResult):
    """Latencies of several candidates from the same rounds.

    ``results`` and ``ratios`` have the same names in the order given; sample i of every candidate comes from
    round i, and the baseline's ratio is exactly 1.
    """

    baseline: str
    results: Mapping[str, LatencyResult]
    ratios: Mapping[str, Ratio]

    def table_rows(self) -> list[Row]:
        return [self._row(name) for name in self.results]

    def _row(self, name: str) -> Row:
        result, ratio = self.results[name], self.ratios[name]
        row = {**result.table_row(), f"ratio to {self.baseline}": significant(ratio.value)}
        if name == self.baseline:
            return {**row, "ratio interval": "–", "verdict": "baseline"}
        return {
            **row,
            "ratio interval": f"{ratio.interval.text()} ({ratio.interval.confidence:.0%})",
            "verdict": ratio.verdict,
        }

    def notes(self) -> list[str]:
        warnings = [result.noise_warning for result in self.results.values()]
        return [*(warning for warning in warnings if warning), *super().notes()]


def compare_latency(
    candidates: Mapping[str, Callable[[], object]],
    *,
    baseline: str,
    warmup: int = 10,
    runs: int = 100,
    items_per_call: int = 1,
    confidence: float = 0.95,
    threads: int = 1,
    seed: int = 0,
    prepare: Mapping[str, Callable[[], object]] | None = None,
) -> LatencyComparison:
    """Time candidates in turns (A B, B A, A B …) and give each one's ratio to the baseline.

    Every round calls each candidate once, in an order drawn anew from ``seed``, so that none always follows
    the same neighbour. A slow spell of the machine falls on whole rounds and cancels in the ratio.

    Parameters
    ----------
    candidates
        Name → callable without arguments.
    baseline
        The name of the candidate that the others are divided by.
    warmup, runs
        Rounds before the first sample (at least 0) and rounds that count (at least 1).
    items_per_call, threads
        As in `measure_latency`, the same for all candidates.
    confidence
        Of the ratios' intervals (`ratio_interval`), in (0, 1).
    seed
        Seeds the order within the rounds and the bootstrap of the intervals.
    prepare
        Name → callable that is called right before each call of that candidate, outside of the clock: to
        wait until the threads of the one before sleep, or to fill the caches again.

    Raises
    ------
    UnknownNameError
        If the baseline is not among the candidates; the message lists them.
    SettingError
        If there are no candidates or a number is outside its range.
    MeasurementError
        If a candidate is not callable or raises.
    """
    if not candidates:
        raise SettingError("compare_latency got no candidates: pass a dictionary of name → callable.")
    look_up(candidates, "candidate", baseline)
    for name, call in candidates.items():
        require_callable(name, call)
    require_count("warmup", warmup, 0)
    require_count("runs", runs, 1)
    require_count("items_per_call", items_per_call, 1)
    machine = record_machine(threads, seed)
    generator = np.random.default_rng(seed)
    samples_ms = _interleaved_samples(candidates, warmup, runs, generator, prepare or {})
    results = {
        name: LatencyResult(
            samples_ms=tuple(samples_ms[name]),
            machine=machine,
            name=name,
            items_per_call=items_per_call,
            warmup=warmup,
        )
        for name in candidates
    }
    ratios = {
        name: Ratio(1.0, Interval(1.0, 1.0, confidence))
        if name == baseline
        else _ratio(result, results[baseline], confidence, seed)
        for name, result in results.items()
    }
    return LatencyComparison(machine=machine, baseline=baseline, results=results, ratios=ratios)


def _ratio(result: LatencyResult, reference: LatencyResult, confidence: float, seed: int) -> Ratio:
    interval = ratio_interval(result.samples_ms, reference.samples_ms, confidence, seed)
    return Ratio(result.p50_ms / reference.p50_ms, interval)


def _interleaved_samples(
    candidates: Mapping[str, Callable[[], object]],
    warmup: int,
    runs: int,
    generator: np.random.Generator,
    prepare: Mapping[str, Callable[[], object]],
) -> dict[str, list[float]]:
    names = list(candidates)
    samples_ms: dict[str, list[float]] = {name: [] for name in names}
    orders = generator.permuted(np.tile(np.arange(len(names)), (warmup + runs, 1)), axis=1)
    with garbage_collection_paused():
        for order in orders.tolist():
            for index in order:
                name = names[index]
                with explained_failure(name):
                    if name in prepare:
                        prepare[name]()
                    samples_ms[name].append(time_once(candidates[name]))
    return {name: samples[warmup:] for name, samples in samples_ms.items()}
