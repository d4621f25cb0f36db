import json
from typing import Any

import pytest
from torch import nn

from course_lib.architectures import list_zoo
from course_lib.data import Dataset
from course_lib.errors import UnknownNameError
from course_lib.explore import SensitivityMeasurement
from course_lib.widgets import SensitivityExplorer


@pytest.fixture
def bits_explorer(own_model: nn.Module, own_data: Dataset) -> SensitivityExplorer:
    widget = SensitivityExplorer(own_model, own_data)
    assert widget.wait(60)
    return widget


def move(explorer: SensitivityExplorer, **change: Any) -> dict[str, Any]:
    request = explorer.request
    explorer.request = {**request, "plan": "", **change, "generation": request["generation"] + 1}
    assert explorer.wait(60), explorer.error
    return explorer.result


def test_it_opens_in_floating_point_with_all_sensitivities(bits_explorer: SensitivityExplorer):
    shown = bits_explorer.result
    assert shown["exact"]
    assert shown["setting"]["bits"] == (32, 32)
    assert shown["tiles"]["accuracy"] == {
        "value": "100.00%",
        "detail": "exact, all 400 images; float model",
    }
    assert [layer["name"] for layer in shown["layers"]] == ["0", "3"]
    sensitivity = bits_explorer.sensitivity
    assert sensitivity["complete"]
    assert list(sensitivity["cells"]) == ["0.weight", "3.weight"]
    assert list(sensitivity["cells"]["0.weight"]) == ["2", "3", "4", "5", "6", "7", "8"]


def test_a_click_changes_one_layer(bits_explorer: SensitivityExplorer):
    shown = move(bits_explorer, bits=[32, 2])
    assert shown["label"] == "f 2"
    assert [layer["text"] for layer in shown["layers"]] == ["32-bit float", "2 bits"]
    assert shown["layers"][0]["sqnr"] == "∞ dB"
    assert shown["tiles"]["accuracy"]["value"] != "100.00%"


def test_text_point_and_table_say_the_same(bits_explorer: SensitivityExplorer):
    shown = move(bits_explorer, bits=[4, 3])
    (row,) = [point for point in bits_explorer.visited if point["label"] == shown["label"]]
    assert row["cells"] == [tile["value"] for tile in shown["tiles"].values()]
    assert shown["point"]["accuracy"] == row["accuracy"]
    assert f"{row['accuracy']:.2%}" == shown["tiles"]["accuracy"]["value"]


def test_after_many_clicks_the_last_one_is_shown(bits_explorer: SensitivityExplorer):
    for number in range(40):
        request = bits_explorer.request
        bits = [2 + number % 7, 8 - number % 7]
        bits_explorer.request = {**request, "bits": bits, "generation": request["generation"] + 1}
    assert bits_explorer.wait(60)
    assert bits_explorer.result["setting"]["bits"] == (6, 4)
    assert bits_explorer.result["generation"] == bits_explorer.request["generation"] == 40


def test_the_programme_and_the_rule_choose_bits_that_keep_the_average(bits_explorer: SensitivityExplorer):
    for plan, origin in (("programme", "integer programme for 4 bits"), ("rule", "α·log rule with α = 0.72")):
        shown = move(bits_explorer, plan=plan)
        assert shown["label"].startswith(origin)
        conv, linear = shown["setting"]["bits"]
        assert 36 * conv + 432 * linear <= 4 * 468
    # Coming back by hand keeps the name.
    again = move(bits_explorer, bits=list(shown["setting"]["bits"]))
    assert again["label"] == shown["label"]


def test_an_average_nothing_can_meet_says_the_smallest_that_can(bits_explorer: SensitivityExplorer):
    request = bits_explorer.request
    bits_explorer.request = {**request, "plan": "programme", "average": 1.5, "generation": 1}
    assert not bits_explorer.wait(60)
    assert "the smallest that can be kept is 2" in bits_explorer.error
    move(bits_explorer, plan="programme", average=2)
    assert bits_explorer.error == ""
    assert bits_explorer.result["setting"]["bits"] == (2, 2)


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ({"bits": [1, 1]}, "A layer was given 1 bits; expected 2 to 8, or 32"),
        ({"bits": [4]}, "bits of 1 layers, but Sequential (yours) has 2"),
        ({"plan": "guess"}, "no plan called 'guess'; expected one of programme, rule"),
        ({"average": None}, "cannot be read"),
        ({"bits": "x"}, "cannot be read"),
        ({"model": "resnet50"}, "no model called 'resnet50'"),
    ],
)
def test_nonsense_from_the_page_is_reported(
    bits_explorer: SensitivityExplorer, broken: dict[str, Any], sentence: str
):
    sound = bits_explorer.request
    bits_explorer.request = {**sound, **broken}
    assert not bits_explorer.wait(60)
    assert sentence in bits_explorer.error
    assert move(bits_explorer, **{**sound, "bits": [8, 8]})["label"] == "uniform 8 bits"
    assert bits_explorer.error == ""


def test_a_click_interrupts_the_sensitivities_and_a_plan_waits_for_them(
    own_model: nn.Module, own_data: Dataset, monkeypatch: pytest.MonkeyPatch
):
    finished = []
    stream = SensitivityMeasurement.stream

    def recorded(self: SensitivityMeasurement, cancelled: Any) -> Any:
        yield from stream(self, cancelled)
        finished.append(self.known.complete)

    monkeypatch.setattr(SensitivityMeasurement, "stream", recorded)
    widget = SensitivityExplorer(own_model, own_data, own_data.take(slice(100)))
    for number in range(1, 8):
        widget.request = {**widget.request, "bits": [number + 1, 8], "generation": number}
    widget.request = {**widget.request, "plan": "rule", "generation": 8}
    assert widget.wait(60), widget.error
    assert finished[-1]
    assert widget.result["generation"] == 8
    assert widget.sensitivity["words"].startswith("Measured on 100 training images: each of 2 layers alone")


def test_the_page_says_which_images_the_sensitivities_come_from(bits_explorer: SensitivityExplorer):
    words = bits_explorer.sensitivity["words"]
    assert words.startswith("Measured on 400 of the test images, as no training images were given:")


def test_everything_that_is_sent_is_json(bits_explorer: SensitivityExplorer):
    sent = [bits_explorer.result, bits_explorer.sensitivity, bits_explorer.visited]
    words = json.dumps(sent)
    assert not any(number in words for number in ("NaN", "Infinity"))  # which JSON does not have


def test_heat_lies_between_the_ends_of_the_scale(bits_explorer: SensitivityExplorer):
    for row in bits_explorer.sensitivity["cells"].values():
        heats = [cell["heat"] for cell in row.values()]
        assert heats == sorted(heats, reverse=True)
        assert 0 <= heats[-1] <= heats[0] <= 1


def test_the_code_computes_the_shown_bits(
    bits_explorer: SensitivityExplorer, own_model: nn.Module, own_data: Dataset
):
    for bits in ([4, 32], [3, 3]):
        shown = move(bits_explorer, bits=bits)
        names: dict[str, Any] = {"model": own_model, "dataset": own_data}
        exec(shown["code"], names)
        assert names["result"].setting.bits == tuple(bits)
        assert f"{names['result'].accuracy.value:.2%}" == shown["tiles"]["accuracy"]["value"]


def test_the_visited_bits_come_as_csv(bits_explorer: SensitivityExplorer, monkeypatch: pytest.MonkeyPatch):
    move(bits_explorer, bits=[4, 6])
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(bits_explorer, "send", lambda content, buffers=None: sent.append(content))
    bits_explorer._handle_custom_msg({"kind": "export"}, [])
    header, *rows = sent[0]["content"].splitlines()
    assert header.startswith("model,bits,accuracy,accuracy_low")
    assert rows[1].startswith("Sequential (yours),4 6,")


def test_an_unknown_model_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match="no trained model called 'resnet50'"):
        SensitivityExplorer("resnet50")


@pytest.mark.slow
def test_a_zoo_network_is_measured_on_the_shipped_training_images():
    widget = SensitivityExplorer("tiny")
    assert widget.models == ["tiny", *(name for name in list_zoo() if name != "tiny")]
    assert widget.wait(240), widget.error
    assert widget.sensitivity["words"].startswith("Measured on 512 training images: each of 10 layers alone")
    names: dict[str, Any] = {}
    exec(move(widget, plan="programme", average=3)["code"], names)
    assert f"{names['result'].accuracy.value:.2%}" == widget.result["tiles"]["accuracy"]["value"]
