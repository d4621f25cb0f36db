import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import course_lib.widgets
from course_lib.architectures import list_zoo
from course_lib.data import Dataset
from course_lib.errors import UnknownNameError
from course_lib.explore.microscope_scores import IMPORTANCES
from course_lib.widgets import PruningMicroscope
from course_lib.widgets.page_source import script, style

FOLDER = Path(course_lib.widgets.__file__).parent
GROUP = "0"
"""The first layer of the small network; its 4 channels are read by the linear layer "3", 36 pixels each."""


@pytest.fixture(scope="module")
def shared_microscope(own_model: nn.Module, own_data: Dataset) -> PruningMicroscope:
    widget = PruningMicroscope(own_model, own_data)
    assert widget.wait(120), widget.error
    return widget


@pytest.fixture
def microscope(shared_microscope: PruningMicroscope) -> PruningMicroscope:
    """The widget with all channels; its model is exported once."""
    move(shared_microscope, removed={}, importance="l1")
    return shared_microscope


def move(microscope: PruningMicroscope, **change: Any) -> dict[str, Any]:
    request = microscope.request
    microscope.request = {**request, **change, "generation": request["generation"] + 1}
    assert microscope.wait(120), microscope.error
    return microscope.result


def test_it_opens_with_the_whole_network(microscope: PruningMicroscope):
    shown = microscope.result
    assert shown["exact"]
    assert shown["label"] == "all channels"
    assert shown["removed"] == {}
    assert shown["tiles"]["accuracy"] == {
        "value": "100.00%",
        "detail": "exact, all 400 images; whole model",
    }
    assert shown["tiles"]["params"] == {"value": "475", "detail": "trained numbers"}
    assert shown["tiles"]["macs"]["value"] == "1.728 k"
    assert list(shown["tiles"]) == ["accuracy", "latency", "size", "macs", "params"]


def test_the_network_says_what_depends_on_what(microscope: PruningMicroscope):
    conv, linear = microscope.network["layers"]
    assert (conv["path"], conv["kind"], conv["outputs"], conv["groups"]) == ("0", "conv 3×3", 4, [GROUP])
    assert conv["why"] == ["3 reads these channels and loses the inputs."]
    assert linear["groups"] == []
    assert linear["why"][0].startswith("The output channels of '3' cannot be removed:")
    assert microscope.network["groups"][GROUP] == {
        "channels": 4,
        "touches": {"0": "loses the same channels", "3": "reads them"},
    }


def test_removing_channels_changes_everything_at_once(microscope: PruningMicroscope):
    shown = move(microscope, removed={GROUP: [3, 0]})
    assert shown["removed"] == {GROUP: [0, 3]}
    assert shown["label"] == "2 channels of 0 removed"
    assert [(width["text"], width["inputs"]) for width in shown["widths"]] == [
        ("2 of 4", ""),
        ("3", "72 of 144 inputs"),
    ]
    assert shown["tiles"]["params"] == {"value": "239", "detail": "1.99× fewer than 475; trained numbers"}
    assert shown["tiles"]["macs"]["detail"] == "2.00× fewer than 1.728 k; for one image"
    assert shown["note"].startswith("2.00× fewer MACs, ")
    assert shown["tiles"]["accuracy"]["value"] != "100.00%"


@pytest.mark.parametrize("importance", [name for name in IMPORTANCES if name != "bn_scale"])
def test_each_importance_ranks_the_channels(microscope: PruningMicroscope, importance: str):
    move(microscope, importance=importance)
    ranking = microscope.ranking
    assert (ranking["importance"], ranking["words"]) == (importance, IMPORTANCES[importance])
    group = ranking["groups"][GROUP]
    heights = [group["heights"][channel] for channel in group["order"]]
    assert heights == sorted(heights)
    assert heights[-1] == 1
    assert group["reason"] == ""


def test_a_group_without_batch_norm_says_so_and_can_still_lose_channels(microscope: PruningMicroscope):
    shown = move(microscope, importance="bn_scale", removed={GROUP: [1]})
    group = microscope.ranking["groups"][GROUP]
    assert group["reason"].startswith("The channels of '0' pass no batch norm with a scale;")
    assert (group["heights"], group["order"]) == ([0] * 4, [0, 1, 2, 3])
    assert shown["label"] == "1 channel of 0 removed"


def test_after_many_clicks_the_last_one_is_shown(microscope: PruningMicroscope):
    for number in range(40):
        request = microscope.request
        removed = {GROUP: [number % 4, (number + 1) % 4]}
        microscope.request = {**request, "removed": removed, "generation": request["generation"] + 1}
    assert microscope.wait(120)
    assert microscope.result["removed"] == {GROUP: [0, 3]}
    assert microscope.result["generation"] == microscope.request["generation"]


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ({"removed": {GROUP: [0, 1, 2, 3]}}, "All 4 channels of the group '0' would be removed"),
        ({"removed": {GROUP: [4]}}, "The group '0' has no channel 4; expected channels from 0 to 3"),
        ({"removed": {GROUP: ["x"]}}, "The group '0' has no channel 'x'; expected whole numbers"),
        ({"removed": {"stem": [0]}}, "no group of channels called 'stem'"),
        ({"removed": None}, "cannot be read"),
        ({"importance": "l3"}, "no importance called 'l3'"),
        ({"model": "resnet50"}, "no model called 'resnet50'"),
    ],
)
def test_nonsense_from_the_page_is_reported(
    microscope: PruningMicroscope, broken: dict[str, Any], sentence: str
):
    sound = microscope.request
    microscope.request = {**sound, **broken, "generation": sound["generation"] + 1}
    assert not microscope.wait(120)
    assert sentence in microscope.error
    assert move(microscope, **{**sound, "removed": {GROUP: [2]}})["removed"] == {GROUP: [2]}
    assert microscope.error == ""


def test_everything_that_is_sent_is_json(microscope: PruningMicroscope):
    move(microscope, removed={GROUP: [1]})
    words = json.dumps([microscope.result, microscope.network, microscope.ranking])
    assert not any(number in words for number in ("NaN", "Infinity"))  # which JSON does not have


def test_the_code_removes_the_shown_channels(
    microscope: PruningMicroscope, own_model: nn.Module, own_data: Dataset
):
    shown = move(microscope, removed={GROUP: [1, 2]})
    names: dict[str, Any] = {"model": own_model, "dataset": own_data}
    exec(shown["code"], names)
    assert f"{names['result'].accuracy.value:.2%}" == shown["tiles"]["accuracy"]["value"]
    assert names["smaller"](torch.zeros(1, 1, 8, 8)).shape == (1, 3)
    assert names["smaller"].get_submodule("0").out_channels == 2


def test_an_onnx_file_is_refused_with_what_to_pass_instead(own_data: Dataset):
    widget = PruningMicroscope("mine.onnx", own_data)
    assert not widget.wait(120)
    assert widget.error == (
        "mine.onnx is an ONNX file, which does not tell which channels belong together; pass the PyTorch "
        "module that it was exported from."
    )


def test_an_unknown_model_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match="no trained model called 'resnet50'"):
        PruningMicroscope("resnet50")


def test_the_page_gets_the_shared_part_first() -> None:
    for joined, kind in ((script("pruning_microscope"), "js"), (style("pruning_microscope"), "css")):
        assert joined.startswith((FOLDER / f"page.{kind}").read_text(encoding="utf-8"))
        assert joined.endswith((FOLDER / f"pruning_microscope.{kind}").read_text(encoding="utf-8"))
    assert PruningMicroscope._esm == script("pruning_microscope")
    lines = script("pruning_microscope").splitlines()
    assert [line for line in lines if line.startswith("export")] == ["export default { render };"]
    defined = [line.split("(")[0] for line in lines if line.startswith(("function ", "async function "))]
    assert len(defined) == len(set(defined))


@pytest.mark.slow
def test_another_model_brings_its_own_network():
    widget = PruningMicroscope("tiny")
    assert widget.models == ["tiny", *(name for name in list_zoo() if name != "tiny")]
    assert widget.wait(240), widget.error
    assert len(widget.network["layers"]) == 10
    move(widget, model="plain_conv", removed={"features.3.0": [0, 1]})
    assert widget.network["model"] == widget.ranking["model"] == "plain_conv"
    names: dict[str, Any] = {}
    exec(widget.result["code"], names)
    assert f"{names['result'].accuracy.value:.2%}" == widget.result["tiles"]["accuracy"]["value"]
