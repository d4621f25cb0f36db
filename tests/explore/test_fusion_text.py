from dataclasses import replace

import pytest

from course_lib.explore.fusion import FusionEngine
from course_lib.explore.fusion_result import LEVELS, FusionResult, FusionSetting
from course_lib.explore.fusion_text import LEVEL_WORDS, explain, pattern_words, words_after, words_before
from course_lib.export.graph_diff import Match
from course_lib.runtimes.onnx_runtime import Optimization
from tests.explore.fusion_net import known_diff, latency, net, parsed


def result(level: Optimization = "extended", level_ms: float | None = None, **fields: object) -> FusionResult:
    latencies = {} if level_ms is None else {level: latency(level_ms, 2.0)}
    known = FusionResult(
        model="net",
        setting=FusionSetting(level),
        diff=known_diff(),
        node_counts={"off": 4, "basic": 3, "extended": 2, "all": 2},
        latencies=latencies,
    )
    return replace(known, **fields)  # type: ignore[arg-type]


def test_a_fused_node_tells_which_nodes_went_into_it_and_what_it_spares() -> None:
    words = words_after(known_diff())
    assert words["fused"] == (
        "FusedConv (microsoft) fused stands for 3 nodes of the file: Conv conv, BatchNormalization norm and "
        "Relu relu. It writes 1×2×4×4 float32 (128 B) and reads 152 B of stored values. 256 B between them "
        "are not written any more."
    )
    assert words["flat"] == "Flatten flat runs as it is in the file. It writes 1×32 float32 (128 B)."


def test_a_node_of_the_file_tells_what_became_of_it() -> None:
    words = words_before(known_diff())
    assert words["norm"] == (
        "BatchNormalization norm went into FusedConv (microsoft) fused, together with Conv and Relu."
    )
    assert words["flat"] == "Flatten flat runs as it is."


def test_folded_removed_and_exchanged_nodes_have_words_of_their_own() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]>
    net (float[1, 3] x) => (float[1, 3] y) <float[1, 3] w, float[1, 3] v> {
        [sum] s = Add (w, v)
        [same] i = Identity (x)
        [times] y = Mul (i, s)
    }"""
    words = words_before(FusionEngine(parsed(text).SerializeToString()).diff("basic"))
    assert words["sum"] == "Add sum was computed while loading: its result is a stored value now."
    assert words["same"] == (
        "Identity same was removed: it does nothing in inference, or no output depends on it."
    )
    assert words["times"] == "Mul times runs as it is."


@pytest.mark.parametrize(
    ("level_ms", "sentence"),
    [
        (None, "Latency is being measured …"),
        (1.0, "Measured 2.00× faster than level off."),
        (3.0, "Measured 1.50× slower than level off."),
        (2.0, "No difference in latency from level off that could be told from noise."),
    ],
)
def test_the_explanation_follows_the_measurement(level_ms: float | None, sentence: str) -> None:
    assert explain(result(level_ms=level_ms)) == (
        "4 nodes in the file, 2 run: 1 of them stands for 3 nodes of the file. Most often: "
        f"Conv + BatchNormalization + Relu → FusedConv (microsoft) (1×). {sentence}"
    )


def test_level_off_is_compared_with_itself() -> None:
    assert explain(result("off", 2.0)) == (
        "Level off: 2 nodes run, the graph runs as it is in the file. Compared with itself in a second "
        "session: 1.00× (1.00 to 1.00), and what differs from 1 is noise."
    )


def test_a_reason_for_no_latency_is_told() -> None:
    assert explain(result(untimed="It has two inputs.")).endswith("No latency: It has two inputs.")


@pytest.mark.parametrize("level", LEVELS)
def test_every_node_of_a_real_graph_has_a_sentence(level: Optimization) -> None:
    diff = FusionEngine(net()).diff(level)
    assert set(words_before(diff)) == {node.name for node in diff.before.nodes}
    assert set(words_after(diff)) == {node.name for node in diff.after.nodes}
    assert all(words.endswith(".") for words in (words_before(diff) | words_after(diff)).values())
    assert level in LEVEL_WORDS


def test_long_patterns_are_counted() -> None:
    kinds = ("DequantizeLinear", "DequantizeLinear", "Conv", "Relu", "QuantizeLinear")
    match = Match("node", "QLinearConv", ("a", "b", "c", "d", "e"), kinds)
    assert pattern_words(match) == ("2 DequantizeLinear + 1 Conv + 1 Relu + 1 QuantizeLinear → QLinearConv")
    short = Match("node", "FusedConv", ("c", "d"), ("Conv", "Relu"))
    assert pattern_words(short) == "Conv + Relu → FusedConv"
