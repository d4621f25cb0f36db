"""Successive halving on made-up latencies: the best survives, what is unsound is refused, steps add up."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from course_lib.errors import ModelError
from course_lib.pipelines import ort_search
from course_lib.pipelines.ort_search import GROUP, Rested, Search, compare_settings, steps_of, wait_until_idle
from course_lib.pipelines.ort_settings import DEFAULT, SessionSetting, computing_settings
from tests.runtimes.conftest import build_model

CONTENT = build_model().SerializeToString()
BATCH = np.array([[1, 1, 5]], np.float32)


def search(on_progress=None) -> Search:
    return Search(CONTENT, BATCH, (1e-4, 1e-3), 8, np.random.default_rng(0), on_progress)


@pytest.mark.parametrize(("count", "keep", "steps"), [(2, 2, 0), (6, 2, 2), (28, 2, 5 + 3 + 2 + 1)])
def test_steps_by_hand(count: int, keep: int, steps: int) -> None:
    assert GROUP == 6
    assert steps_of(count, keep) == steps


def test_the_best_survives_and_rounds_double(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = computing_settings(2)
    speed = {str(setting): 1 + index for index, setting in enumerate(settings)}
    asked = []

    def compare(source, batch, named, rounds, baseline, seed):
        assert named[baseline] == DEFAULT
        assert len(named) <= GROUP + 1
        asked.append((rounds, len(named) - 1))
        return SimpleNamespace(ratios={name: SimpleNamespace(value=speed.get(name, 0)) for name in named})

    monkeypatch.setattr(ort_search, "compare_settings", compare)
    told = []
    state = search(told.append)
    assert state.halve("stage", settings, 2) == settings[:2]
    assert [sum(count for rounds, count in asked if rounds == each) for each in (8, 16, 32, 64)] == [
        28,
        14,
        7,
        4,
    ]
    assert state.done == len(told) == steps_of(28, 2)
    assert told[0].stage == "stage: 28 left"
    assert len(state.trials) == 28 + 14 + 7 + 4


def test_what_computes_something_else_or_fails_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong, broken = SessionSetting("off", threads=1), SessionSetting("basic", threads=1)
    real = SessionSetting.load

    def load(self, source, example):
        if self == broken:
            raise ModelError("It breaks.")
        loaded = real(self, source, example)
        return SimpleNamespace(run=lambda batch: loaded.run(batch) + 1) if self == wrong else loaded

    monkeypatch.setattr(SessionSetting, "load", load)
    state = search()
    sound = SessionSetting("all", threads=1)
    assert state.halve("stage", [wrong, broken, sound, DEFAULT], 2) == [sound]
    assert [each.setting for each in state.refused] == [wrong, broken]
    assert "the worst difference is 1, allowed is" in state.refused[0].reason
    assert state.refused[1].reason == "It breaks."


def test_settings_are_compared_for_real() -> None:
    compared = compare_settings(
        CONTENT, BATCH, {"a": SessionSetting(threads=1), "b": SessionSetting(threads=2)}, 6, "a", 0
    )
    assert [len(result.samples_ms) for result in compared.results.values()] == [6, 6]
    assert compared.machine.threads == 2


def test_only_after_a_spinning_candidate_is_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(ort_search, "wait_until_idle", lambda: done.append("wait"))
    rested = Rested()
    spinning = rested.before(lambda: done.append("spinning"), True)
    calm = rested.before(lambda: done.append("calm"), False)
    for prepare in (calm, spinning, calm, calm):
        prepare()
    assert done == ["calm", "spinning", "wait", "calm", "calm"]


def test_waiting_ends_when_idle_and_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    start = time.monotonic()
    wait_until_idle(limit_s=5)
    assert time.monotonic() - start < 5
    monkeypatch.setattr(ort_search.time, "process_time", time.monotonic)  # as if all time was computed
    start = time.monotonic()
    wait_until_idle(limit_s=0.02)
    assert time.monotonic() - start >= 0.02
