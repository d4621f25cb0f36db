import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from course_lib.architectures import list_zoo
from course_lib.errors import DataError, UnknownNameError
from course_lib.explore.quantizer import QuantizerSetting
from course_lib.explore.tensors import DISTRIBUTIONS
from course_lib.export.onnx_export import export_onnx
from course_lib.quantization import PerChannel, PerGroup
from course_lib.widgets import QuantizerExplorer

DRAWING = {"tensor": "drawn by hand", "heights": [0.0, 0.5, 1.0, 0.25], "limit": 2.0}


@pytest.fixture
def explorer() -> QuantizerExplorer:
    widget = QuantizerExplorer()
    assert widget.wait(240)
    return widget


def move(explorer: QuantizerExplorer, **change: Any) -> dict[str, Any]:
    request = explorer.request
    explorer.request = {**request, **change, "generation": request["generation"] + 1}
    assert explorer.wait(240), explorer.error
    return explorer.result


def test_it_opens_with_a_normal_tensor_at_four_bits(explorer: QuantizerExplorer) -> None:
    assert explorer.result["label"] == "normal: 4 bits symmetric per tensor"
    assert explorer.result["generation"] == 0
    assert explorer.tensors == [
        *DISTRIBUTIONS,
        *(f"layers of {name}" for name in list_zoo()),
        "drawn by hand",
    ]


def test_tile_chart_and_sentence_say_the_same(explorer: QuantizerExplorer) -> None:
    shown = move(explorer, bits=6, clip=0.8, outlier=10.0, symmetric=False)
    sqnr = shown["tiles"]["sqnr"]["value"]
    (point,) = [point for point in shown["curve"] if point["bits"] == 6]
    assert f"{point['db']:.1f} dB" == sqnr
    assert point["text"] == f"6 bits: {sqnr}"
    assert shown["curve_summary"] == f"At 6 bits {sqnr}. {shown['explanation']}"
    distance = f"{abs(point['db'] - shown['ideal_db']):.1f} dB below the line"
    assert shown["tiles"]["sqnr"]["detail"].startswith(distance)
    assert shown["explanation"].startswith(distance)
    assert (
        shown["label"] == "normal: 6 bits asymmetric per tensor, 80% of the range kept, one outlier at 10 σ"
    )


def test_a_drawing_is_quantized(explorer: QuantizerExplorer) -> None:
    shown = move(explorer, **DRAWING)
    assert shown["label"].startswith("drawn by hand: 4 bits")
    assert shown["histogram"]["limit"] == 2.0
    assert shown["layers"] == []


def test_bits_that_move_over_a_drawing_keep_its_curve(explorer: QuantizerExplorer) -> None:
    curves = [move(explorer, **DRAWING, bits=bits)["curve"] for bits in (3, 8)]
    assert curves[0] == curves[1]


def test_an_empty_drawing_gets_one_sentence_and_the_explorer_goes_on(explorer: QuantizerExplorer) -> None:
    explorer.request = {**explorer.request, **DRAWING, "heights": [0.0, 0.0]}
    assert not explorer.wait(240)
    assert explorer.error.endswith("draw at least one bar.")
    assert move(explorer, **DRAWING)["label"].startswith("drawn by hand")


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ({"bits": 1}, "bits is 1, but quantization takes"),
        ({"clip": 0}, "clip is 0.0; expected the share"),
        ({"outlier": -2}, "outlier is -2.0; expected a multiple"),
        ({"granularity": "groups of x"}, "no granularity called 'groups of x'; expected one of per tensor"),
        ({"granularity": "row"}, "no granularity called 'row'"),
        ({"tensor": "gauss"}, "no tensor called 'gauss'"),
        ({"heights": None}, "cannot be read"),
        ({"bits": "many"}, "cannot be read"),
    ],
)
def test_nonsense_from_the_page_is_reported(
    explorer: QuantizerExplorer, broken: dict[str, Any], sentence: str
) -> None:
    sound = explorer.request
    explorer.request = {**sound, **broken}
    assert not explorer.wait(240)
    assert sentence in explorer.error
    explorer.request = {**sound, "bits": 5, "generation": 3}
    assert explorer.wait(240)
    assert explorer.result["generation"] == 3


def test_everything_that_is_sent_is_json(explorer: QuantizerExplorer) -> None:
    # One bar at 0 lies on the grid: the ratio is infinite, which JSON does not have.
    shown = move(explorer, outlier=0.0, tensor="drawn by hand", heights=[1.0], limit=1e-30)
    json.dumps(shown, allow_nan=False)
    own = QuantizerExplorer(np.zeros((2, 4)))
    assert own.wait(240)
    json.dumps(own.result, allow_nan=False)
    assert own.result["tiles"]["sqnr"]["value"] == "∞ dB"
    assert own.result["noise"]["text"].startswith("No noise")


def test_groups_follow_the_tensor() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(2704, 3)).eval()
    widget = QuantizerExplorer(network, QuantizerSetting(granularity=PerGroup(32)))
    assert widget.wait(240), widget.error
    assert widget.tensors[0] == "layers of Sequential (yours)"
    # 2,704 is 169 times 16: groups of 32 do not fit, those of 16 do.
    assert (widget.result["layer"], widget.result["granularity"]) == ("2.weight", "groups of 16")
    assert move(widget, layer="0.weight")["granularity"] == "groups of 3"
    assert move(widget, tensor="normal", layer="")["granularity"] == "groups of 32"
    assert widget.result["granularities"][:3] == ["per tensor", "per channel", "groups of 128"]


def test_a_channel_without_groups_gets_one_scale() -> None:
    widget = QuantizerExplorer(np.arange(14.0).reshape(2, 7), QuantizerSetting(granularity=PerGroup(8)))
    assert widget.wait(240)
    assert widget.result["granularity"] == "per channel"
    assert widget.result["granularities"] == ["per tensor", "per channel"]


def test_an_array_a_tensor_or_a_file_of_ones_own(tmp_path: Path) -> None:
    widget = QuantizerExplorer(torch.randn(4, 8, generator=torch.Generator().manual_seed(0)))
    assert widget.wait(240)
    assert widget.result["label"].startswith("yours: 4 bits")
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).eval()
    path = export_onnx(network, torch.zeros(1, 1, 8, 8), tmp_path / "small.onnx")
    from_file = QuantizerExplorer(path)
    assert from_file.wait(240), from_file.error
    assert from_file.request["tensor"] == "layers of small.onnx (yours)"


@pytest.mark.parametrize("tensor", ["uniform", "tiny"])
def test_the_code_computes_what_is_shown(tensor: str) -> None:
    widget = QuantizerExplorer(tensor, QuantizerSetting(3, False, PerChannel(), 0.9))
    assert widget.wait(240), widget.error
    names: dict[str, Any] = {}
    exec(widget.result["code"], names)
    assert f"{names['result'].sqnr_db:.1f} dB" == widget.result["tiles"]["sqnr"]["value"]
    assert names["result"].setting == QuantizerSetting(3, False, PerChannel(), 0.9)


def test_the_code_of_a_drawing_computes_what_is_shown(explorer: QuantizerExplorer) -> None:
    shown = move(explorer, **DRAWING, granularity="groups of 64", outlier=8.0)
    names: dict[str, Any] = {}
    exec(shown["code"], names)
    assert f"{names['result'].sqnr_db:.1f} dB" == shown["tiles"]["sqnr"]["value"]


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"no tensor called 'resnet50'; .*Laplace.*depthwise"):
        QuantizerExplorer("resnet50")


def test_an_array_with_nan_is_refused() -> None:
    with pytest.raises(DataError, match="is empty or holds NaN or infinite values"):
        QuantizerExplorer(np.array([1.0, np.nan]))
