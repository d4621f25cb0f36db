import json
from typing import Any

import numpy as np
import pytest
from torch import nn

from course_lib.architectures import list_zoo
from course_lib.data import Dataset
from course_lib.errors import DataError, UnknownNameError
from course_lib.explore import CalibrationSetting
from course_lib.explore.calibration_graph import CalibrationGraph, calibration_graph
from course_lib.quantization import OBSERVERS
from course_lib.widgets import CalibrationExplorer


@pytest.fixture(scope="module")
def training(own_data: Dataset) -> Dataset:
    images = np.random.default_rng(4).integers(0, 256, (40, 1, 8, 8), dtype=np.uint8)
    return Dataset("training", images, np.zeros(40, np.int64), own_data.class_names, 0.5, 0.3)


@pytest.fixture(scope="module")
def graph(own_model: nn.Module) -> CalibrationGraph:
    return calibration_graph(own_model, (1, 8, 8))


@pytest.fixture
def explorer(
    own_model: nn.Module,
    own_data: Dataset,
    training: Dataset,
    graph: CalibrationGraph,
    monkeypatch: pytest.MonkeyPatch,
) -> CalibrationExplorer:
    # One export for all tests: nothing changes the graph.
    monkeypatch.setattr("course_lib.explore.calibration.calibration_graph", lambda source, shape: graph)
    widget = CalibrationExplorer(own_model, own_data, training, CalibrationSetting(images=32))
    assert widget.wait(60), widget.error
    return widget


def move(explorer: CalibrationExplorer, **change: Any) -> dict[str, Any]:
    request = explorer.request
    explorer.request = {**request, **change, "generation": request["generation"] + 1}
    assert explorer.wait(60), explorer.error
    return explorer.result


def row(shown: dict[str, Any], observer: str) -> dict[str, Any]:
    (found,) = [row for row in shown["rows"] if row["observer"] == observer]
    return found


def test_it_opens_with_everything_measured(explorer: CalibrationExplorer) -> None:
    shown = explorer.result
    assert shown["exact"]
    assert shown["label"] == (
        "Sequential (yours), activation _1: MSE, 8 bits asymmetric, calibrated on 32 images"
    )
    assert shown["stops"] == [8, 16, 32]
    assert explorer.models == ["Sequential (yours)"]
    assert [name for name, _ in explorer.observers] == list(OBSERVERS)


@pytest.mark.parametrize("observer", OBSERVERS)
def test_tiles_table_and_charts_say_the_same(explorer: CalibrationExplorer, observer: str) -> None:
    shown = move(explorer, observer=observer, bits=4, images=16)
    tiles, here = shown["tiles"], row(shown, observer)
    assert here["here"]
    assert here["cells"] == [
        tiles[name]["value"] for name in ("range", "clipping", "rounding", "sqnr", "accuracy")
    ]
    assert f"{here['db']:.1f} dB" == tiles["sqnr"]["value"]
    assert f"{here['name']} {tiles['sqnr']['value']}" in shown["observers_summary"]
    (at,) = [at for at in shown["ranges"] if at["images"] == 16]
    assert (at["low"], at["high"]) == (shown["grid"]["low"], shown["grid"]["high"])
    assert at["text"] == f"16 images: {tiles['range']['value']}"
    assert tiles["range"]["value"] in shown["histogram"]["summary"]
    assert len(shown["grid"]["levels"]) == 16
    assert sum(row["best"] for row in shown["rows"]) == 1


def test_accuracies_of_observers_gather_in_the_table(explorer: CalibrationExplorer) -> None:
    first = explorer.result["tiles"]["accuracy"]["value"]
    shown = move(explorer, observer="minmax")
    assert row(shown, "mse")["cells"][-1] == first
    assert row(shown, "entropy")["cells"][-1] == "not measured yet"


def test_an_activation_can_be_picked(explorer: CalibrationExplorer) -> None:
    names = explorer.result["tensors"]
    shown = move(explorer, tensor=names[0])
    assert shown["tensor"] == names[0]
    assert move(explorer, tensor="gone")["tensor"] == names[1]


def test_after_many_moves_the_last_one_is_shown(explorer: CalibrationExplorer) -> None:
    for number in range(40):
        request = explorer.request
        change = {"bits": (2, 3, 4, 5)[number % 4], "generation": request["generation"] + 1}
        explorer.request = {**request, **change}
    assert explorer.wait(60)
    assert explorer.result["generation"] == explorer.request["generation"]
    assert "5 bits" in explorer.result["label"]


def test_everything_that_is_sent_is_json(explorer: CalibrationExplorer) -> None:
    for bits in (2, 16):
        sent = move(explorer, bits=bits, observer="minmax", symmetric=True)
        words = json.dumps(sent)
        assert not any(number in words for number in ("NaN", "Infinity"))  # which JSON does not have


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ({"bits": 1}, "bits is 1; expected one of 2"),
        ({"images": 9}, "images is 9; expected one of 8"),
        ({"observer": "mean"}, "no observer called 'mean'"),
        ({"images": 1024}, "this engine calibrates with 32 at most"),
        ({"model": "resnet50"}, "no model called 'resnet50'"),
        ({"bits": None}, "cannot be read"),
        ({"generation": "a"}, "cannot be read"),
    ],
)
def test_nonsense_from_the_page_is_reported(
    explorer: CalibrationExplorer, broken: dict[str, Any], sentence: str
) -> None:
    sound = explorer.request
    explorer.request = {**sound, **broken}
    assert not explorer.wait(60)
    assert sentence in explorer.error
    explorer.request = {**sound, "bits": 3, "generation": 5}
    assert explorer.wait(60)
    assert explorer.result["generation"] == 5
    assert explorer.error == ""


def test_the_code_of_ones_own_model_names_what_only_the_notebook_has(explorer: CalibrationExplorer) -> None:
    assert "CalibrationEngine(model, dataset, calibration)  # your own" in explorer.result["code"]


@pytest.mark.slow
def test_the_code_of_a_zoo_network_runs_and_gives_what_is_shown() -> None:
    widget = CalibrationExplorer("tiny", setting=CalibrationSetting("percentile", 3, True, 16))
    assert widget.wait(120), widget.error
    assert widget.models == ["tiny", *(name for name in list_zoo() if name != "tiny")]
    names: dict[str, Any] = {}
    exec(widget.result["code"], names)
    assert f"{names['result'].accuracy.value:.2%}" == widget.result["tiles"]["accuracy"]["value"]
    assert f"{names['result'].figures.sqnr_db:.1f} dB" == widget.result["tiles"]["sqnr"]["value"]


def test_images_come_in_pairs(own_model: nn.Module, own_data: Dataset) -> None:
    with pytest.raises(DataError, match="belong together; pass both dataset and calibration, or neither"):
        CalibrationExplorer(own_model, own_data)


def test_an_unknown_model_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="no trained model called 'resnet50'"):
        CalibrationExplorer("resnet50")


def test_an_onnx_file_gets_one_sentence(own_data: Dataset, training: Dataset) -> None:
    widget = CalibrationExplorer("small.onnx", own_data, training)
    assert not widget.wait(60)
    assert widget.error.startswith("small.onnx is an ONNX file, and quantizers are put between")
