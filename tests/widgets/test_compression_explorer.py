from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from course_lib.architectures import list_zoo
from course_lib.data import Dataset
from course_lib.errors import UnknownNameError
from course_lib.explore import CompressionSetting
from course_lib.export.onnx_export import export_onnx
from course_lib.widgets import CompressionExplorer


def move(explorer: CompressionExplorer, **change: Any) -> dict[str, Any]:
    request = explorer.request
    explorer.request = {**request, **change, "generation": request["generation"] + 1}
    assert explorer.wait(60), explorer.error
    return explorer.result


def test_it_opens_with_the_exact_dense_result(explorer: CompressionExplorer):
    assert explorer.result["exact"]
    assert explorer.result["generation"] == 0
    assert explorer.result["tiles"]["accuracy"]["value"] == "100.00%"
    assert explorer.error == ""


def test_a_move_changes_what_is_shown(explorer: CompressionExplorer):
    shown = move(explorer, sparsity=0.9, bits=2)
    assert shown["generation"] == 1
    assert shown["label"] == "90% zeros, 2 bits symmetric per channel"
    assert shown["tiles"]["accuracy"]["value"] != "100.00%"


def test_text_point_and_table_say_the_same(explorer: CompressionExplorer):
    shown = move(explorer, sparsity=0.5, bits=4)
    (row,) = [point for point in explorer.visited if point["label"] == shown["label"]]
    assert row["cells"] == [tile["value"] for tile in shown["tiles"].values()]
    assert shown["point"]["accuracy"] == row["accuracy"]
    assert f"{row['accuracy']:.2%}" == shown["tiles"]["accuracy"]["value"]


def test_after_many_moves_the_last_one_is_shown(explorer: CompressionExplorer):
    for percent in range(1, 40):
        request = explorer.request
        explorer.request = {**request, "sparsity": percent / 100, "generation": request["generation"] + 1}
    assert explorer.wait(60)
    assert explorer.result["setting"]["sparsity"] == 0.39
    assert explorer.result["generation"] == explorer.request["generation"]


def test_a_bad_request_gives_one_sentence_and_the_explorer_goes_on(explorer: CompressionExplorer):
    explorer.request = {**explorer.request, "sparsity": 1.5}
    assert explorer.error.startswith("sparsity is 1.5; expected a fraction")
    move(explorer, sparsity=0.2)
    assert explorer.error == ""
    assert explorer.result["setting"]["sparsity"] == 0.2


@pytest.mark.parametrize("broken", [{"sparsity": "x"}, {"bits": None}, {"model": 7}, {"generation": "a"}])
def test_nonsense_from_the_page_is_reported(explorer: CompressionExplorer, broken: dict[str, Any]):
    sound = explorer.request
    explorer.request = {**sound, **broken}
    assert "cannot be read" in explorer.error or "no model called '7'" in explorer.error
    explorer.request = {**sound, "sparsity": 0.3, "generation": 5}
    assert explorer.wait(60)
    assert explorer.result["generation"] == 5
    assert explorer.error == ""


def test_own_images_offer_only_the_own_model(explorer: CompressionExplorer):
    assert explorer.models == ["Sequential (yours)"]


def test_an_own_model_comes_first_and_the_zoo_after_it(own_model: nn.Module):
    widget = CompressionExplorer(own_model)
    assert widget.models == ["Sequential (yours)", *list_zoo()]
    assert not widget.wait(60)
    # The picture size does not fit this network: one sentence, and the zoo still works.
    assert widget.error
    move(widget, model=list_zoo()[0], layer="")
    assert widget.result["model"] == list_zoo()[0]
    assert widget.error == ""


def test_an_unknown_model_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match="no trained model called 'resnet50'"):
        CompressionExplorer("resnet50")


def test_the_visited_settings_come_as_csv(explorer: CompressionExplorer, monkeypatch: pytest.MonkeyPatch):
    move(explorer, bits=4)
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(explorer, "send", lambda content, buffers=None: sent.append(content))
    explorer._handle_custom_msg({"kind": "export"}, [])
    (message,) = sent
    header, *rows = message["content"].splitlines()
    assert header.startswith("model,sparsity,bits,symmetric,per_channel,accuracy")
    assert len(rows) == 2
    assert rows[1].startswith("Sequential (yours),0.0,4,True,True,")


def test_visited_settings_can_be_forgotten(explorer: CompressionExplorer):
    move(explorer, bits=4)
    explorer._handle_custom_msg({"kind": "forget"}, [])
    (left,) = explorer.visited
    assert left["label"] == explorer.result["label"]


def test_the_code_computes_the_shown_setting(explorer: CompressionExplorer):
    shown = move(explorer, sparsity=0.25, bits=6, symmetric=False)
    assert "CompressionSetting(sparsity=0.25, bits=6, symmetric=False, per_channel=True)" in shown["code"]
    assert "CompressionEngine(model, dataset)  # your own" in shown["code"]


@pytest.mark.slow
def test_the_code_of_a_zoo_network_runs_and_gives_what_is_shown():
    widget = CompressionExplorer("tiny", setting=CompressionSetting(0.3, 5))
    assert widget.wait(60)
    names: dict[str, Any] = {}
    exec(widget.result["code"], names)
    assert f"{names['result'].accuracy.value:.2%}" == widget.result["tiles"]["accuracy"]["value"]


def test_an_onnx_file_with_the_name_of_a_zoo_network_is_the_students_own(
    tmp_path: Path, own_model: nn.Module, own_data: Dataset
):
    path = export_onnx(own_model, torch.zeros(1, 1, 8, 8), tmp_path / "depthwise.onnx")
    widget = CompressionExplorer(str(path), own_data)
    assert widget.models == ["depthwise.onnx (yours)"]
    assert widget.wait(60)
    assert widget.result["tiles"]["accuracy"]["value"] == "100.00%"


def test_a_start_between_the_slider_stops_gets_a_stop_of_its_own(own_model: nn.Module, own_data: Dataset):
    widget = CompressionExplorer(own_model, own_data, CompressionSetting(bits=12))
    assert widget.bit_choices == [32, 16, 12, 8, 7, 6, 5, 4, 3, 2]


def test_each_model_shows_its_own_points(monkeypatch: pytest.MonkeyPatch):
    widget = CompressionExplorer("tiny")
    assert widget.wait(60)
    move(widget, model="depthwise", layer="", bits=8)
    assert [point["label"] for point in widget.visited] == ["0% zeros, 8 bits symmetric per channel"]
    move(widget, model="tiny", layer="", bits=32)
    assert [point["label"] for point in widget.visited] == ["0% zeros, 32-bit float"]


def test_a_failed_model_is_not_called_done(own_model: nn.Module):
    widget = CompressionExplorer(own_model)
    assert not widget.wait(60)
