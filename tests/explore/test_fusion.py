from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from course_lib.errors import ModelError, UnknownNameError
from course_lib.explore.cancelling import Cancelled
from course_lib.explore.fusion import LEVELS, FusionEngine, FusionSetting
from course_lib.pipelines.level_diff import diff_levels
from course_lib.reproducibility import seeded_torch
from tests.explore.fusion_net import Stopwatch, net, parsed


@pytest.fixture
def watch() -> Stopwatch:
    return Stopwatch()


@pytest.fixture
def engine(watch: Stopwatch) -> FusionEngine:
    return FusionEngine(net(), measure=watch)


def test_the_fusions_of_a_small_net_are_found(engine: FusionEngine) -> None:
    assert [match.change for match in engine.diff("off").matches] == ["kept"] * 10
    basic, extended = engine.diff("basic"), engine.diff("extended")
    assert [match.parts for match in basic.fused] == [("conv_1", "norm_1"), ("conv_2", "norm_2")]
    assert [match.parts for match in extended.fused] == [
        ("conv_1", "norm_1", "relu_1"),
        ("conv_2", "norm_2"),  # the addition stands between it and its activation
    ]


def test_the_worked_example() -> None:
    engine = FusionEngine("residual", measure=Stopwatch())
    assert len(engine.diff("off").before.nodes) == 45
    basic = engine.diff("basic")
    assert (len(basic.after.nodes), len(basic.fused)) == (32, 13)
    full = engine.diff("all")
    assert len(full.after.nodes) < 45
    assert any(match.part_kinds == ("Conv", "BatchNormalization", "Add", "Relu") for match in full.fused)


def test_graphs_are_those_of_the_report_on_levels(engine: FusionEngine) -> None:
    report = diff_levels(net())
    result = engine.measured(FusionSetting("basic"))
    assert result.node_counts == {each.level: len(each.facts.nodes) for each in report.levels}
    for level in LEVELS:
        assert engine.diff(level).operators == report.level(level).diff.operators


def test_the_graph_comes_first_then_a_latency_then_a_better_one(engine: FusionEngine) -> None:
    first, second, last = engine.stream(FusionSetting("basic"))
    assert (first.latency, first.exact, len(first.diff.after.nodes)) == (None, False, 8)
    assert second.latency is not None
    assert last.latency is not None
    assert [len(each.latency.level.samples_ms) for each in (second, last) if each.latency] == [10, 40]
    assert (second.exact, last.exact) == (False, True)
    assert last.latency.ratio.value == 0.5


def test_what_was_measured_is_remembered_for_every_later_setting(
    engine: FusionEngine, watch: Stopwatch
) -> None:
    engine.measured(FusionSetting("basic"))
    (again,) = engine.stream(FusionSetting("basic"))
    assert again.exact
    beside = engine.measured(FusionSetting("extended"))
    assert set(beside.latencies) == {"basic", "extended"}
    assert len(watch.asked) == 2
    assert watch.asked[0][1] is watch.asked[1][1]  # one session at level off is the baseline of all


def test_level_off_is_compared_with_a_second_session_of_its_own(
    engine: FusionEngine, watch: Stopwatch
) -> None:
    engine.measured(FusionSetting("off"))
    ((level, off),) = watch.asked
    assert level is not off


def test_a_stream_that_was_cancelled_ends_and_begins_again_later(
    engine: FusionEngine, watch: Stopwatch
) -> None:
    assert len(list(engine.stream(FusionSetting("all"), cancelled=lambda: True))) == 1
    assert watch.asked == []

    def give_up(*_: object) -> object:
        raise Cancelled

    stopped = FusionEngine(net(), measure=give_up)  # type: ignore[arg-type]
    assert len(list(stopped.stream(FusionSetting("all")))) == 1
    assert len(list(engine.stream(FusionSetting("all")))) == 3


def test_every_node_is_timed_when_asked_for(engine: FusionEngine) -> None:
    for level in LEVELS:
        *_, last = engine.stream(FusionSetting(level, timed=True))
        assert last.times_us is not None
        assert set(last.times_us) == {node.name for node in last.diff.after.nodes}
        assert last.exact
        assert sum(row.p50_us or 0 for row in last.operators) == pytest.approx(sum(last.times_us.values()))
    plain = engine.measured(FusionSetting("off"))
    assert plain.times_us is None


def test_times_of_nodes_can_be_asked_for_later(engine: FusionEngine, watch: Stopwatch) -> None:
    engine.measured(FusionSetting("basic"))
    first, last = engine.stream(FusionSetting("basic", timed=True))
    assert (first.exact, last.exact) == (False, True)
    assert first.latency is not None  # known from before
    assert len(watch.asked) == 1


def test_a_real_measurement_follows() -> None:
    result = FusionEngine(net()).measured(FusionSetting("extended"))
    assert result.latency is not None
    assert result.latency.level.p50_ms > 0
    assert result.latency.complete


def test_a_file_can_be_explored(tmp_path: Path, watch: Stopwatch) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(net())
    engine = FusionEngine(path, measure=watch)
    assert engine.name == "net.onnx"
    assert engine.measured(FusionSetting("all")).exact


@pytest.mark.slow
def test_a_module_can_be_explored_and_stays_as_it_is(watch: Stopwatch) -> None:
    with seeded_torch(0):
        module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    engine = FusionEngine(module, input_shape=(3, 6, 6), measure=watch)
    assert engine.name == "Sequential"
    (match,) = engine.diff("extended").fused
    assert match.part_kinds == ("Conv", "BatchNormalization", "Relu")
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_free_axes_take_the_lengths_of_input_shape(watch: Stopwatch) -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
    net (float[N, 3, H, W] x) => (float[N, 3, H, W] y) { a = Relu (x) y = Neg (a) }"""
    content = parsed(text).SerializeToString()
    FusionEngine(content, input_shape=(3, 5, 7), measure=watch).measured(FusionSetting("all"))
    assert watch.batches[0].shape == (1, 3, 5, 7)


def test_a_model_that_cannot_be_run_with_one_made_up_input_shows_its_graph_and_says_why(
    watch: Stopwatch,
) -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
    net (float[1, 3] x, float[1, 3] z) => (float[1, 3] y) { a = Add (x, z) y = Relu (a) }"""
    engine = FusionEngine(parsed(text).SerializeToString(), measure=watch)
    first, last = engine.stream(FusionSetting("all", timed=True))
    assert (first.untimed, last.exact) == ("", True)
    assert last.untimed == (
        "This model has 2 inputs and 1 outputs, and latency is measured for one of each; its graph is shown "
        "all the same."
    )
    (again,) = engine.stream(FusionSetting("off"))
    assert again.untimed == last.untimed
    assert watch.asked == []


def test_what_is_no_model_or_level_is_refused_in_one_sentence(engine: FusionEngine, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^The content \(5 bytes\) is not an ONNX model or is cut short"):
        FusionEngine(b"hello")
    with pytest.raises(ModelError, match=r"^none\.onnx does not exist"):
        FusionEngine(tmp_path / "none.onnx")
    with pytest.raises(UnknownNameError, match="called 'resnet'"):
        FusionEngine("resnet")
    with pytest.raises(UnknownNameError, match="no optimization level called 'most'"):
        list(engine.stream(FusionSetting("most")))  # type: ignore[arg-type]


def test_a_model_that_the_runtime_refuses_is_explained() -> None:
    model = onnx.load_from_string(net())
    model.graph.node[0].op_type = "Convolve"
    with pytest.raises(ModelError, match="Convolve"):
        FusionEngine(model.SerializeToString())


def test_level_all_computes_what_level_off_computes(engine: FusionEngine, watch: Stopwatch) -> None:
    engine.measured(FusionSetting("all"))
    ((level, off),) = watch.asked
    np.testing.assert_allclose(level.run(watch.batches[0]), off.run(watch.batches[0]), rtol=1e-4, atol=1e-4)
