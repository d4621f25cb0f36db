import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from torch import nn

from course_lib.architectures import load_card
from course_lib.edge.memory_plan import plan_memory
from course_lib.errors import UnknownNameError
from course_lib.explore.architecture_map import MapEngine, MapState

SOURCES: dict[str, Any] = {"depthwise": "depthwise", "tiny": "tiny"}


def finish(engine: MapEngine) -> MapState:
    give_up = time.monotonic() + 120
    state = engine.state
    while not state.finished and time.monotonic() < give_up:
        state = engine.wait_for_news(state, 1)
    assert state.finished
    return state


@pytest.fixture
def engine() -> Iterator[MapEngine]:
    made = MapEngine(SOURCES, plan_memory, laps=(3, 8))
    yield made
    made.close()


def test_the_cards_are_there_at_once_and_latencies_follow(engine: MapEngine) -> None:
    first = engine.state
    assert first.names == ("depthwise", "tiny")
    for name in SOURCES:
        assert first.figures[name].accuracy == load_card(name).accuracy
    last = finish(engine)
    assert (last.pending, last.failed, last.doing) == ((), {}, "")
    assert last.latencies is not None
    assert {len(result.samples_ms) for result in last.latencies.results.values()} == {8}
    records = {record["name"]: record for record in last.records()}
    assert records["tiny"]["p50_ms"] == last.latencies.results["tiny"].p50_ms
    assert records["tiny"]["macs"] == load_card("tiny").macs


def test_before_a_lap_all_are_pending_and_there_are_no_records() -> None:
    state = MapState(("a", "b"), {})
    assert (state.pending, state.records(), state.finished) == (("a", "b"), [], False)


def test_news_are_waited_for_no_longer_than_asked(engine: MapEngine) -> None:
    last = finish(engine)
    assert engine.wait_for_news(last, 0.01) is last


def test_measuring_again_brings_other_samples(engine: MapEngine) -> None:
    before = finish(engine)
    engine.measure_again()
    assert not engine.state.finished
    after = finish(engine)
    assert before.latencies is not None
    assert after.latencies is not None
    samples = [state.results["tiny"].samples_ms for state in (before.latencies, after.latencies)]
    assert len(samples[0]) == len(samples[1])
    assert samples[0] != samples[1]


def test_a_network_that_fails_is_left_out_with_a_reason_and_the_others_go_on() -> None:
    engine = MapEngine({"wrong": nn.Linear(5, 10), "tiny": "tiny"}, plan_memory, laps=(3,))
    last = finish(engine)
    engine.close()
    assert list(last.failed) == ["wrong"]
    assert "wrong" not in {record["name"] for record in last.records()}
    assert [record["name"] for record in last.records()] == ["tiny"]
    assert last.pending == ()


def test_without_any_network_that_works_it_ends_all_the_same() -> None:
    engine = MapEngine({"wrong": nn.Linear(5, 10)}, plan_memory)
    last = finish(engine)
    engine.close()
    assert (list(last.failed), last.latencies) == (["wrong"], None)


def test_a_slow_survey_is_interrupted_by_a_first_lap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("course_lib.explore.architecture_map.PATIENCE_S", 0.0)
    seen: list[int] = []
    held = threading.Event()

    def plan(model: nn.Module, example: Any) -> Any:
        held.wait(60)
        return plan_memory(model, example)

    engine = MapEngine(SOURCES, plan, laps=(2, 3))
    state = engine.state
    held.set()
    while not state.finished:
        state = engine.wait_for_news(state, 60)
        if state.latencies is not None:
            seen.append(len(state.latencies.results))
    engine.close()
    assert sorted(set(seen)) == [1, 2]


def test_unknown_names_are_refused_at_once() -> None:
    with pytest.raises(UnknownNameError, match="no trained model called 'resnet'"):
        MapEngine({"resnet": "resnet"}, plan_memory)
