from pathlib import Path

import numpy as np
import pytest
from torch import nn

from course_lib.explore.backend_cell import Cell
from course_lib.pipelines import compile_cell
from course_lib.runtimes.engine_cache import EngineCache
from course_lib.widgets import backend_bench
from course_lib.widgets.backend_bench import BackendBench
from tests.pipelines.fake_targets import FAKE_TARGETS


@pytest.fixture(scope="module")
def bench(own_model: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> BackendBench:
    sources = {
        "mine": own_model,
        "wrong": nn.Linear(5, 2),
        "depthwise": "depthwise",
        "file": Path("my net.onnx"),
    }
    made = BackendBench(sources, (1, 8, 8), cache=EngineCache(tmp_path_factory.mktemp("engines")))
    made._maker("mine")  # exporting takes seconds, which no test should be blamed for
    return made


@pytest.fixture(autouse=True)
def _fake_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (backend_bench, compile_cell):
        monkeypatch.setattr(module, "TARGETS", FAKE_TARGETS)


def test_a_cell_that_runs_has_all_figures(bench: BackendBench) -> None:
    result = bench.measure(Cell("mine", "onnxruntime", "fp32"), 8)
    assert (result.outcome, result.why, result.rounds) == ("ran", "", 8)
    assert result.size_bytes is not None
    assert result.size_bytes > 0
    assert result.max_absolute is not None
    assert result.max_absolute < 1e-5
    assert result.argmax_agreement == 1
    assert result.ratio is not None
    assert result.version is not None
    assert result.messages[0].startswith("Compiled files: built in ")
    assert "random numbers" in result.messages[1]
    again = bench.measure(Cell("mine", "onnxruntime", "fp32"), 8)
    assert again.messages[0].startswith("Compiled files: found in ")


@pytest.mark.parametrize(
    ("cell", "outcome", "why"),
    [
        (Cell("mine", "elsewhere", "fp32"), "built", "Files for elsewhere do not run on this machine;"),
        (
            Cell("mine", "picky", "fp32"),
            "refused",
            "picky cannot compile the operator Conv of the node conv1.",
        ),
        (Cell("mine", "picky", "int8"), "refused", "picky does not build int8; it builds fp32."),
        (
            Cell("mine", "absent", "int8"),
            "missing",
            "absent is needed to compile for it; install it with: make",
        ),
        (Cell("wrong", "onnxruntime", "fp32"), "refused", ""),
    ],
)
def test_a_cell_that_does_not_run_says_why(bench: BackendBench, cell: Cell, outcome: str, why: str) -> None:
    result = bench.measure(cell, 8)
    assert result.outcome == outcome
    assert result.why.startswith(why)
    assert result.why
    assert (result.p50_ms, result.ratio, result.max_absolute, result.rounds) == (None, None, None, 0)
    assert (result.size_bytes is not None) == (outcome == "built")


def test_what_takes_no_work_is_known(bench: BackendBench) -> None:
    assert bench.known(Cell("mine", "onnxruntime", "int8")) is None
    assert bench.known(Cell("mine", "absent", "fp32")) == bench.measure(Cell("mine", "absent", "fp32"), 8)
    lacks = bench.known(Cell("mine", "picky", "fp16"))
    assert lacks is not None
    assert lacks.outcome == "refused"


def test_a_network_that_cannot_be_prepared_is_tried_once(
    bench: BackendBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bench.measure(Cell("wrong", "onnxruntime", "fp32"), 8)
    monkeypatch.setattr("course_lib.pipelines.model_forms.prepare_forms", None)
    assert bench.measure(Cell("wrong", "elsewhere", "int8"), 8).why == first.why


def test_the_command_line_does_the_same(bench: BackendBench) -> None:
    command = "python -m course_lib.pipelines.compile {} --targets onnxruntime --precisions int8"
    assert bench.command(Cell("depthwise", "onnxruntime", "int8")) == command.format("depthwise")
    assert bench.command(Cell("file", "onnxruntime", "int8")) == command.format("'my net.onnx'")
    call = 'compile_model(prepare_forms(model, shape=(1, 8, 8)), ["onnxruntime"], ["int8"])'
    assert bench.command(Cell("mine", "onnxruntime", "int8")) == call
    two = BackendBench({"depthwise": "depthwise"}, threads=2)
    assert two.command(Cell("depthwise", "onnxruntime", "fp32")).endswith("--precisions fp32 --threads 2")
    real = BackendBench({"mine": nn.ReLU()}, calibration=np.zeros((40, 1), np.float32))
    assert real.literal("mine") == "prepare_forms(model, calibration=inputs)"


def test_only_tensorrt_tells_more(bench: BackendBench) -> None:
    bench.measure(Cell("mine", "onnxruntime", "fp32"), 8)
    assert bench.tell(Cell("mine", "onnxruntime", "fp32")) == ()
