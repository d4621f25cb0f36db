"""Sorting ONNX Runtime's events into runs."""

import numpy as np
import pytest
from onnx import helper

from course_lib.runtimes.onnx_profile import WARMUP, _by_run, node_name, profile_runs


def event(name: str, start: int, length: int = 1, kind: str = "Node") -> dict:
    return {"cat": kind, "name": name, "ts": start, "dur": length, "tid": 1, "args": {}}


def test_kernels_belong_to_the_run_in_which_they_begin() -> None:
    events = [
        event("session_initialization", 0, 90, "Session"),
        event("b_kernel_time", 104),
        event("a_kernel_time", 100),
        event("model_run", 100, 10, "Session"),
        event("a_kernel_time", 121),
        event("a_fence_before", 120),
        event("model_run", 120, 10, "Session"),
    ]
    first, second = _by_run(events)
    assert [node_name(each) for each in first.operators] == ["a", "b"]
    assert [each["ts"] for each in second.operators] == [121]
    assert second.whole["ts"] == 120


def test_runs_that_warm_up_are_left_out(build) -> None:
    content = build([helper.make_node("Relu", ["input"], ["logits"], name="relu")]).SerializeToString()
    found = profile_runs(content, np.ones((1, 3), np.float32), runs=3)
    assert WARMUP > 0
    assert [[node_name(each) for each in run.operators] for run in found] == [["relu"]] * 3


@pytest.mark.parametrize("name", ["", "two words"])
def test_odd_names(build, name) -> None:
    content = build([helper.make_node("Relu", ["input"], ["logits"], name=name)]).SerializeToString()
    (run,) = profile_runs(content, np.ones((1, 3), np.float32), runs=1)
    assert [each["args"]["op_name"] for each in run.operators] == ["Relu"]
