import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from course_lib.architectures import list_zoo
from course_lib.benchmarking import Interval
from course_lib.data import Dataset
from course_lib.errors import UnknownNameError
from course_lib.explore import CompressionSetting
from course_lib.explore.result import ChannelsLeft, MeasuredLatency
from course_lib.export.onnx_export import export_onnx
from course_lib.widgets import CompressionExplorer
from course_lib.widgets.compression_view import gain_words
from course_lib.widgets.measured_view import CSV_COLUMNS, visited_csv


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


def exported_csv(explorer: CompressionExplorer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what the page gets when Export CSV is pressed."""
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(explorer, "send", lambda content, buffers=None: sent.append(content))
    explorer._handle_custom_msg({"kind": "export"}, [])
    (message,) = sent
    return str(message["content"])


def test_the_visited_settings_come_as_csv(explorer: CompressionExplorer, monkeypatch: pytest.MonkeyPatch):
    move(explorer, bits=4)
    header, *rows = exported_csv(explorer, monkeypatch).splitlines()
    assert header.startswith(
        "model,sparsity,bits,symmetric,per_channel,pruning_ratio,importance,multiple_of,accuracy"
    )
    assert len(rows) == 2
    assert rows[1].startswith("Sequential (yours),0.0,4,True,True,0.0,l1,8,")


def test_the_csv_says_what_channels_and_work_are_left(
    explorer: CompressionExplorer, monkeypatch: pytest.MonkeyPatch
):
    move(explorer, pruning_ratio=0.5, multiple_of=1)
    dense, smaller = csv.DictReader(exported_csv(explorer, monkeypatch).splitlines())
    assert {dense[name] for name in ("channels_left", "channels", "macs", "dense_macs")} == {""}
    assert (smaller["channels_left"], smaller["channels"]) == ("2", "4")
    # 4 filters of 3 × 3 at 6 × 6 positions, then 4 · 36 columns for 3 classes; half of both is left.
    assert smaller["dense_macs"] == str(4 * 9 * 36 + 4 * 36 * 3)
    assert int(smaller["macs"]) * 2 == int(smaller["dense_macs"])


def test_an_export_before_any_result_is_a_header_alone():
    assert visited_csv([]) == "model," + ",".join(CSV_COLUMNS) + "\n"


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


def traced(explorer: CompressionExplorer) -> CompressionExplorer:
    """Ask for the channels as the page does after its first picture, and wait until they are there."""
    explorer._handle_custom_msg({"kind": "channels"}, [])
    explorer._engine(explorer.models[0]).channels.result(60)
    return explorer


def test_channels_can_be_removed_once_the_model_is_traced(explorer: CompressionExplorer):
    assert explorer.channels_note.startswith("In a moment: PyTorch is being loaded")
    traced(explorer)
    assert explorer.channels_note == ""
    # There is no batch norm to rank by.
    assert [name for name, _ in explorer.importances] == ["l1", "l2", "random"]
    shown = move(explorer, pruning_ratio=0.5, multiple_of=1)
    assert shown["label"] == "50% of the channels removed (L1 norm), 0% zeros, 32-bit float"
    assert shown["channels"]["value"] == "2 of 4"
    assert shown["channels"]["detail"].startswith("2.0× fewer MACs, ")
    assert shown["channels"]["detail"].endswith("; ranked by L1 norm")
    code = "pruning_ratio=0.5, importance='l1', multiple_of=1)"
    assert code in shown["code"]


def test_channels_asked_for_before_the_model_is_traced_are_waited_for(
    own_model: nn.Module, own_data: Dataset
):
    setting = CompressionSetting(pruning_ratio=0.5, importance="random", multiple_of=1)
    widget = CompressionExplorer(own_model, own_data, setting)
    assert widget.wait(60)
    assert widget.result["channels"]["value"] == "2 of 4"
    assert widget.result["channels"]["detail"].endswith("; chosen at random")


def test_an_onnx_file_tells_what_to_pass_instead(tmp_path: Path, own_model: nn.Module, own_data: Dataset):
    path = export_onnx(own_model, torch.zeros(1, 1, 8, 8), tmp_path / "own.onnx")
    widget = CompressionExplorer(path, own_data)
    assert widget.wait(60)
    widget._handle_custom_msg({"kind": "channels"}, [])
    assert widget.channels_note.endswith("pass the PyTorch module that it was exported from.")
    widget.request = {**widget.request, "pruning_ratio": 0.5, "generation": 1}
    assert not widget.wait(60)
    assert widget.error == widget.channels_note


def test_a_model_that_cannot_be_traced_says_so_in_the_place_of_the_slider(own_data: Dataset):
    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(64, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x.flatten(1))

    widget = CompressionExplorer(Hidden(), own_data)
    assert widget.wait(60)
    widget.prepare_channels()
    assert widget._engine("Hidden (yours)").channels.exception(60) is not None
    assert widget.channels_note.startswith("Hidden has no channels that can be removed")


def test_the_gain_is_put_in_words():
    left = ChannelsLeft(kept=50, total=100, macs=10, dense_macs=21)
    measured = MeasuredLatency(0.5, Interval(0.4, 0.6, 0.95), 0.8, 0.6, Interval(0.5, 0.7, 0.95), 12, None)
    assert gain_words(left, None) == "2.1× fewer MACs, measuring"
    assert gain_words(left, measured) == "2.1× fewer MACs, 1.7× faster"
    slower = replace(measured, ratio=1.5, ratio_interval=Interval(1.2, 1.7, 0.95))
    assert gain_words(left, slower) == "2.1× fewer MACs, but 1.5× slower"
    same = replace(measured, ratio=0.98, ratio_interval=Interval(0.9, 1.1, 0.95))
    assert gain_words(left, same) == "2.1× fewer MACs, not measurably faster"
