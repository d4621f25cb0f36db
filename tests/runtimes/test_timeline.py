"""The timeline of a run: arithmetic on events made by hand, and a real profile."""

import json

import numpy as np
import pytest
from onnx import helper

from course_lib.benchmarking.machine import record_machine
from course_lib.errors import ModelError, SettingError
from course_lib.runtimes import timeline as module
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from course_lib.runtimes.timeline import OperatorSum, Timeline, TimelineEvent, record_timeline


def by_hand() -> Timeline:
    """Two threads: Conv 10–40 and 50–60, an Add 30–50 beside it; the call takes 100 µs."""
    return Timeline(
        machine=record_machine(),
        name="hand",
        events=(
            TimelineEvent("a", "Conv", 10, 30, 0, 500),
            TimelineEvent("b", "Add", 30, 20, 1, 2_000),
            TimelineEvent("c", "Conv", 50, 10, 0, None),
        ),
        sums=(OperatorSum("Conv", 2, (40, 42, 60)), OperatorSum("Add", 1, (20, 14, 8))),
        whole_us=100,
        runs=3,
    )


def test_time_outside_of_kernels_counts_overlaps_once() -> None:
    assert by_hand().between_us == 50  # 10 before, 40 after


def test_sums_and_shares() -> None:
    timeline = by_hand()
    assert [each.p50_us for each in timeline.sums] == [42, 14]
    assert [timeline.share(each) for each in timeline.sums] == [0.75, 0.25]
    assert timeline.peak_memory_bytes == 2_000


def test_text() -> None:
    assert by_hand().table_rows()[0] == {
        "operator": "Conv",
        "kernels": "2",
        "p50 µs": "42.0",
        "share": "75%",
        "µs a kernel": "21.0",
    }
    assert by_hand().notes()[0] == (
        "hand: 3 kernels from 2 threads, 100 µs in the run of median length of 3, 50 µs of them in no "
        "kernel, at most 2.00 kB lent out by its memory pool."
    )
    assert json.loads(json.dumps(by_hand().as_dict()))["between_us"] == 50


def test_no_time_has_no_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = Timeline(
        machine=record_machine(), name="", events=(), sums=(OperatorSum("Add", 1, (0,)),), whole_us=3, runs=1
    )
    assert nothing.share(nothing.sums[0]) == 0
    assert nothing.between_us == 3
    assert nothing.peak_memory_bytes is None


@pytest.fixture
def steps(build) -> bytes:
    nodes = [
        helper.make_node("Relu", ["input"], ["a"], name="first"),
        helper.make_node("Sigmoid", ["a"], ["b"], name="second"),
        helper.make_node("Relu", ["b"], ["logits"], name="third"),
    ]
    return build(nodes).SerializeToString()


@pytest.mark.parametrize("mode", ["sequential", "parallel"])
def test_a_real_run(steps, mode) -> None:
    runtime = OnnxRuntime("off", execution_mode=mode)
    timeline = record_timeline(steps, np.ones((2, 3), np.float32), runs=5, runtime=runtime, threads=2)
    assert [event.name for event in timeline.events] == ["first", "second", "third"]
    ends = [event.end_us for event in timeline.events]
    starts = [event.start_us for event in timeline.events]
    assert 0 <= starts[0] <= starts[1] <= starts[2]
    assert ends[-1] <= timeline.whole_us + 2  # whole microseconds, each cut off
    assert {each.operator: (each.count, len(each.samples_us)) for each in timeline.sums} == {
        "Relu": (2, 5),
        "Sigmoid": (1, 5),
    }
    assert {event.thread for event in timeline.events} <= {0, 1, 2}


def test_the_pool_tells_its_memory(steps) -> None:
    batch = np.ones((2, 3), np.float32)
    assert record_timeline(steps, batch, runs=2).peak_memory_bytes >= 24
    assert record_timeline(steps, batch, runs=2, runtime=OnnxRuntime(arena=False)).peak_memory_bytes is None


def test_the_run_of_median_length_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(length: int) -> module.ProfiledRun:
        kernel = {"name": "n_kernel_time", "ts": 5, "dur": length - 2, "tid": 7, "args": {"op_name": "Add"}}
        return module.ProfiledRun({"ts": 0, "dur": length}, (kernel,))

    monkeypatch.setattr(module, "profile_runs", lambda *_, **__: tuple(map(run, (50, 9, 30))))
    timeline = record_timeline(b"", np.zeros(1))
    assert timeline.whole_us == 30
    assert timeline.events == (TimelineEvent("n", "Add", 5, 28, 0, None),)
    assert timeline.sums[0].samples_us == (48, 7, 28)


def test_bad_input(steps) -> None:
    with pytest.raises(SettingError, match=r"^runs is 0; pass at least 1, such as 30\.$"):
        record_timeline(steps, np.ones((2, 3), np.float32), runs=0)
    with pytest.raises(ModelError, match="The model takes float32 and the batch is float64"):
        record_timeline(steps, np.ones((2, 3)))
