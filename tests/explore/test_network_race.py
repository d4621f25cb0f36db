import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from course_lib.errors import ModelError, SettingError
from course_lib.explore.network_race import NetworkRace, RaceEnded
from course_lib.export.onnx_export import build_onnx
from course_lib.reproducibility import seeded_torch


@pytest.fixture(scope="module")
def content() -> bytes:
    with seeded_torch(0):
        return build_onnx(nn.Linear(4, 2).eval(), torch.zeros(1, 4))


def test_networks_are_timed_in_the_same_rounds(content: bytes) -> None:
    race = NetworkRace(baseline="b")
    race.join("a", content)
    assert race.baseline == "a"
    assert list(race.lap(6).results) == ["a"]
    race.join("b", content)
    lap = race.lap(9)
    assert lap.baseline == "b"
    assert [len(result.samples_ms) for result in lap.results.values()] == [9, 9]
    assert lap.ratios["b"].value == 1
    assert lap.ratios["a"].value == lap.results["a"].p50_ms / lap.results["b"].p50_ms


def test_a_race_can_be_given_up(content: bytes) -> None:
    asked: list[int] = []

    def after_five() -> bool:
        asked.append(1)
        return len(asked) > 5

    race = NetworkRace(after_five)
    race.join("a", content)
    with pytest.raises(RaceEnded, match=r"^The race was given up; start it again\.$"):
        race.lap(100)
    assert len(asked) == 6


def test_bad_input_gets_one_sentence(content: bytes) -> None:
    race = NetworkRace()
    with pytest.raises(SettingError, match=r"^No network takes part in the race; call join first\.$"):
        race.lap(10)
    with pytest.raises(ModelError):
        race.join("broken", b"no model")
    axes = ["N", "C"]
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, axes) for end in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ends[:1], ends[1:])
    free = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    with pytest.raises(
        SettingError, match=r"^free has an input of shape \(None, None\); export it for pictu"
    ):
        race.join("free", free.SerializeToString())
    race.join("a", content)
    with pytest.raises(SettingError, match="runs"):
        race.lap(0)
