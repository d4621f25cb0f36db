import json
from dataclasses import replace
from typing import Any

import pytest

from course_lib.explore.fusion_result import LEVELS, FusionResult, FusionSetting
from course_lib.runtimes.onnx_runtime import Optimization
from course_lib.widgets.fusion_view import picture_view, result_view
from tests.explore.fusion_net import known_diff, latency


def result(**fields: Any) -> FusionResult:
    known = FusionResult(
        model="net",
        setting=FusionSetting("extended"),
        diff=known_diff(),
        node_counts={"off": 4, "basic": 3, "extended": 2, "all": 2},
        latencies={},
    )
    return replace(known, **fields)


def view(**fields: Any) -> dict[str, Any]:
    return result_view(result(**fields), "'net.onnx'")


def test_tiles_are_words_about_one_result() -> None:
    latencies: dict[Optimization, Any] = {"extended": latency(1.0, 4.0)}
    tiles = view(latencies=latencies)["tiles"]
    assert tiles["nodes"] == {"value": "2 of 4", "detail": "50% fewer than in the file"}
    assert tiles["fused"] == {
        "value": "1",
        "detail": "stand for 3 of the file; 1 kept, 0 exchanged, 0 added, 0 folded or removed",
    }
    assert tiles["latency"]["value"] == "1.000 ms"
    assert tiles["latency"]["detail"] == (
        "0.25× (0.25 to 0.25) level off's 4.000 ms; median of 40 runs, 1.000 to 1.000 ms"
    )
    assert tiles["written"] == {
        "value": "256 B",
        "detail": "activations; 50% less than the file's 512 B",
    }


def test_a_latency_that_grows_says_so_and_a_missing_one_too() -> None:
    assert view()["tiles"]["latency"] == {"value": "…", "detail": "measuring"}
    part: dict[Optimization, Any] = {"extended": latency(1.0, 4.0, runs=10)}
    assert view(latencies=part)["tiles"]["latency"]["detail"].endswith("1.000 to 1.000 ms, more to come")
    untimed = view(untimed="It has two inputs.")
    assert untimed["tiles"]["latency"] == {"value": "–", "detail": "It has two inputs."}
    assert {row["latency"] for row in untimed["levels"]} == {"–"}


def test_levels_are_compared_as_far_as_they_are_measured() -> None:
    rows = view(latencies={"extended": latency(1.0, 4.0), "basic": latency(8.0, 4.0)})["levels"]
    assert [(row["level"], row["nodes"], row["nodes_share"]) for row in rows] == [
        ("off", "4", 1.0),
        ("basic", "3", 0.75),
        ("extended", "2", 0.5),
        ("all", "2", 0.5),
    ]
    assert [(row["latency"], row["latency_share"]) for row in rows] == [
        ("not yet measured", None),
        ("2.00× (2.00 to 2.00)", 1.0),
        ("0.25× (0.25 to 0.25)", 0.125),
        ("not yet measured", None),
    ]


def test_times_stand_beside_nodes_and_operators() -> None:
    shown = view(setting=FusionSetting("extended", timed=True), times_us={"fused": 30.0, "flat": 0.0})
    assert shown["times"] == [{"words": "30.0 µs", "share": 1.0}, {"words": "< 1 µs", "share": 0.0}]
    rows = {row["kind"]: row for row in shown["operators"]}
    assert rows["FusedConv (microsoft)"]["time"] == "30.0 µs, 100%"
    assert (rows["Conv"]["before"], rows["Conv"]["after"], rows["Conv"]["time"]) == ("1", "–", "")
    assert view()["times"] is None
    assert all(row["share"] is None for row in view()["operators"])


def test_what_became_one_has_one_colour_and_a_legend() -> None:
    shown = picture_view("net", "extended", known_diff())
    colours = [node["colour"] for node in shown["before"]]
    assert colours[0]
    assert colours == [colours[0]] * 3 + [""]
    assert [node["colour"] for node in shown["after"]] == [colours[0], ""]
    assert shown["patterns"] == [
        {
            "words": "Conv + BatchNormalization + Relu → FusedConv (microsoft)",
            "count": "1×",
            "colour": colours[0],
        }
    ]
    assert shown["heads"] == ["In the file: 4 nodes", "Runs at level extended: 2 nodes"]
    assert shown["links"] == [[0, 0], [1, 0], [2, 0], [3, 1]]


@pytest.mark.parametrize("level", LEVELS)
def test_everything_that_is_sent_is_json(level: Optimization) -> None:
    shown = view(setting=FusionSetting(level), latencies={level: latency(0.5, 0.5)})
    words = json.dumps([shown, picture_view("net", level, known_diff())])
    assert not any(number in words for number in ("NaN", "Infinity"))  # which JSON does not have


def test_code_says_where_the_model_is() -> None:
    assert "engine = FusionEngine('net.onnx')\n" in view()["code"]
    own = result_view(result(setting=FusionSetting("all", timed=True)), None)["code"]
    assert "engine = FusionEngine(model)  # your own model, with its input_shape\n" in own
    assert 'FusionSetting("all", timed=True)' in own
