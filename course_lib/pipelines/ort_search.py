"""Successive halving of session settings: what the tuner (`ort_tuner`) does before its confirmation.

Each group of candidates takes turns with the default, so that what the machine does falls on all of them.

Reference: K. Jamieson and A. Talwalkar, "Non-stochastic best arm identification", 2016.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from course_lib.benchmarking.compare import LatencyComparison, Ratio, compare_latency
from course_lib.errors import CourseError
from course_lib.export.parity import check_parity
from course_lib.pipelines.ort_settings import DEFAULT, SessionSetting
from course_lib.runtimes.protocol import Array, LoadedModel, ModelSource

GROUP = 6
"""So many candidates take turns with the default; more would only empty each other's caches."""

IDLE_STEP_S, IDLE_LIMIT_S = 0.002, 0.25


@dataclass(frozen=True)
class Trial:
    """One candidate in one group: its latency as a ratio to the default's, for choosing only."""

    setting: SessionSetting
    rounds: int
    ratio: Ratio


@dataclass(frozen=True)
class Refusal:
    """A candidate that was left out, and why."""

    setting: SessionSetting
    reason: str


@dataclass(frozen=True)
class TuningProgress:
    """How far the tuner is: steps done of all steps, and what it does now."""

    done: int
    total: int
    stage: str


class Search:
    """The state of one search: what was tried and refused, and how many steps are done."""

    def __init__(
        self,
        source: ModelSource,
        batch: Array,
        tolerances: tuple[float, float],
        rounds: int,
        generator: np.random.Generator,
        on_progress: Callable[[TuningProgress], None] | None,
    ) -> None:
        self.source, self.batch, self.tolerances = source, batch, tolerances
        self.rounds, self.generator, self.on_progress = rounds, generator, on_progress
        self.default = DEFAULT.load(source, batch)
        self.default.run(batch)
        self.trials: list[Trial] = []
        self.refused: list[Refusal] = []
        self.done, self.total = 0, 1

    def tell(self, stage: str) -> None:
        if self.on_progress is not None:
            self.on_progress(TuningProgress(self.done, self.total, stage))
        self.done += 1

    def halve(self, stage: str, settings: Sequence[SessionSetting], keep: int) -> list[SessionSetting]:
        """Return the best ``keep`` settings, fewer if more were refused, the best first."""
        planned = self.done + steps_of(len(settings), keep)
        rounds = self.rounds
        left = self._sound([each for each in settings if each != DEFAULT])
        while len(left) > keep:
            ratios: dict[SessionSetting, float] = {}
            for group in self._groups(left):
                self.tell(f"{stage}: {len(left)} left")
                named = {"": DEFAULT, **{str(each): each for each in group}}
                seed = int(self.generator.integers(2**31))
                compared = compare_settings(self.source, self.batch, named, rounds, "", seed)
                for setting in group:
                    ratio = compared.ratios[str(setting)]
                    ratios[setting] = ratio.value
                    self.trials.append(Trial(setting, rounds, ratio))
            left = sorted(left, key=ratios.__getitem__)[: max(keep, (len(left) + 1) // 2)]
            rounds *= 2
        self.done = planned
        return left

    def _sound(self, settings: Sequence[SessionSetting]) -> list[SessionSetting]:
        """Return those that load and compute what the default computes."""
        sound = []
        for setting in settings:
            try:
                model = setting.load(self.source, self.batch)
                check_parity(
                    self.default.run,
                    model.run,
                    self.batch,
                    absolute_tolerance=self.tolerances[0],
                    relative_tolerance=self.tolerances[1],
                )
            except CourseError as error:
                self.refused.append(Refusal(setting, str(error)))
            else:
                sound.append(setting)
        return sound

    def _groups(self, settings: list[SessionSetting]) -> Iterator[list[SessionSetting]]:
        order = self.generator.permutation(len(settings)).tolist()
        for start in range(0, len(order), GROUP):
            yield [settings[index] for index in order[start : start + GROUP]]


def compare_settings(
    source: ModelSource,
    batch: Array,
    settings: Mapping[str, SessionSetting],
    rounds: int,
    baseline: str,
    seed: int,
) -> LatencyComparison:
    """Time settings in turns, in fresh sessions, each as it runs by itself; see `compare_latency`."""
    loaded = {name: each.load(source, batch) for name, each in settings.items()}
    calls = {name: _call(model, batch) for name, model in loaded.items()}
    rested = Rested()
    return compare_latency(
        calls,
        baseline=baseline,
        warmup=2,
        runs=rounds,
        items_per_call=len(batch),
        threads=max(each.thread_count for each in settings.values()),
        seed=seed,
        prepare={name: rested.before(calls[name], each.keeps_spinning) for name, each in settings.items()},
    )


class Rested:
    """Remembers whether threads of the candidate before may still spin."""

    def __init__(self) -> None:
        self.spinning = False

    def before(self, call: Callable[[], object], keeps_spinning: bool) -> Callable[[], None]:
        """Return what comes before each timed call: wait until all is idle, then one untimed call."""

        def prepare() -> None:
            if self.spinning:
                wait_until_idle()
            call()
            self.spinning = keeps_spinning

        return prepare


def wait_until_idle(limit_s: float = IDLE_LIMIT_S) -> None:
    """Wait until this process hardly computes any more, or for the limit where other threads work on."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        before, used = time.monotonic(), time.process_time()
        time.sleep(IDLE_STEP_S)
        if time.process_time() - used < 0.2 * (time.monotonic() - before):
            return


def _call(model: LoadedModel, batch: Array) -> Callable[[], object]:
    return lambda: model.run(batch)


def steps_of(count: int, keep: int) -> int:
    """Return how many groups are timed while ``count`` settings are halved down to ``keep``."""
    steps = 0
    while count > keep:
        steps += -(-count // GROUP)
        count = max(keep, (count + 1) // 2)
    return steps
