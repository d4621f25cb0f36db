"""The engine with bits for each layer: against PyTorch, by hand, its stream, its errors."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from course_lib.architectures import load_card
from course_lib.data import Dataset, load_dataset
from course_lib.errors import ModelError, SettingError, UnknownNameError
from course_lib.explore import BitAssignment, CompressionEngine, CompressionSetting, SensitivityEngine
from course_lib.export.onnx_export import export_onnx

MIXED = BitAssignment((3, 5))


def test_the_stream_ends_with_the_accuracy_of_the_quantized_module(
    sensitivity_engine: SensitivityEngine, small_net: nn.Module, small_data: Dataset
):
    changed = type(small_net)().eval()
    changed.load_state_dict(small_net.state_dict())
    for layer, bits in ((changed.conv, 3), (changed.classifier, 5)):
        weight, limit = layer.weight.data, 2 ** (bits - 1) - 1
        scale = weight.abs().amax(tuple(range(1, weight.ndim))) / limit
        zeros = torch.zeros(len(scale), dtype=torch.int32)
        layer.weight.data = torch.fake_quantize_per_channel_affine(weight, scale, zeros, 0, -limit, limit)
    with torch.inference_mode():
        predicted = changed(torch.from_numpy(small_data.inputs())).argmax(1).numpy()
    assert sensitivity_engine.exact(MIXED).accuracy.value == (predicted == small_data.labels).mean()


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_equal_bits_are_the_compression_engines_setting(
    sensitivity_engine: SensitivityEngine, engine: CompressionEngine, bits: int
):
    mine = sensitivity_engine.exact(sensitivity_engine.uniform(bits))
    its = engine.exact(CompressionSetting(bits=bits))
    assert mine.accuracy == its.accuracy
    assert (mine.size_bytes, mine.dense_size_bytes) == (its.size_bytes, its.dense_size_bytes)
    assert mine.sqnr_db == its.sqnr_db


def test_size_and_average_worked_by_hand(sensitivity_engine: SensitivityEngine):
    # 54 weights of 4 bits with 6 scales, 648 of 8 bits with 3, and 33 other numbers.
    result = sensitivity_engine.exact(BitAssignment((4, 8)))
    conv, classifier = result.layers
    assert (conv.params, conv.bits, conv.shape) == (54, 4, (6, 1, 3, 3))
    assert conv.size_bytes == 27 + 4 * 6
    assert classifier.size_bytes <= 648 + 4 * 3
    assert result.size_bytes == conv.size_bytes + classifier.size_bytes + 4 * 33
    assert result.average_bits == (54 * 4 + 648 * 8) / 702
    assert (conv.macs, classifier.macs) == (6 * 9 * 36, 648)


def test_float_leaves_the_model_as_it_is(sensitivity_engine: SensitivityEngine):
    result = sensitivity_engine.exact(sensitivity_engine.uniform(32))
    assert result.accuracy.value == sensitivity_engine.baseline_accuracy
    assert result.size_bytes == result.dense_size_bytes
    assert result.sqnr_db == math.inf
    assert all(layer.sqnr_db == math.inf for layer in result.layers)
    assert result.latency_note == "This is the model in 32-bit floats, compared with itself."


def test_each_bit_of_a_layer_adds_to_its_ratio(sensitivity_engine: SensitivityEngine):
    ratios = [sensitivity_engine.exact(BitAssignment((bits, 32))).layers[0].sqnr_db for bits in (2, 4, 6, 8)]
    assert ratios == sorted(ratios)
    assert ratios[3] - ratios[2] == pytest.approx(12.04, abs=2.5)


def test_results_know_more_and_more_and_the_last_is_remembered(small_net: nn.Module, small_data: Dataset):
    fresh = SensitivityEngine(small_net, small_data, first_images=120)
    first, *_, last = fresh.stream(MIXED)
    assert first.accuracy.low <= last.accuracy.value <= first.accuracy.high
    assert (first.latency, first.class_accuracy) == (None, None)
    assert last.accuracy.exact
    assert last.latency is not None
    assert list(fresh.stream(MIXED)) == [last]


def test_a_cancelled_stream_ends_after_its_first_result(small_net: nn.Module, small_data: Dataset):
    fresh = SensitivityEngine(small_net, small_data, first_images=120)
    (only,) = fresh.stream(MIXED, cancelled=lambda: True)
    assert not only.accuracy.exact
    assert len(list(fresh.stream(MIXED))) > 1


def test_the_page_says_why_the_latency_stays(sensitivity_engine: SensitivityEngine):
    note = sensitivity_engine.exact(MIXED).latency_note
    assert note.startswith("Fewer bits make the file smaller, not the model faster")
    assert note.count(".") == 1


def test_bits_found_by_a_plan_keep_its_name(sensitivity_engine: SensitivityEngine):
    result = sensitivity_engine.exact(MIXED)
    assert result.label == "3 5"
    assert replace(result, origin="integer programme for 4 bits").label == "integer programme for 4 bits: 3 5"


def test_an_assignment_for_another_model_is_refused(sensitivity_engine: SensitivityEngine):
    with pytest.raises(SettingError, match="bits of 3 layers, but SmallNet has 2; pass one width for each"):
        next(sensitivity_engine.stream(BitAssignment((4, 4, 4))))
    with pytest.raises(UnknownNameError, match="no layer called 'stem'"):
        sensitivity_engine.assignment({"stem": 4})


def test_an_onnx_file_of_ones_own(tmp_path, small_net: nn.Module, small_data: Dataset):
    path = export_onnx(small_net, torch.zeros(1, 1, 8, 8), tmp_path / "small.onnx")
    from_file = SensitivityEngine(path, small_data, first_images=120)
    assert from_file.name == "small.onnx"
    direct = SensitivityEngine(small_net, small_data, first_images=120)
    assert from_file.exact(MIXED).accuracy == direct.exact(MIXED).accuracy


def test_weights_that_are_not_finite_are_refused(small_data: Dataset):
    broken = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).eval()
    with torch.no_grad():
        broken[1].weight[0, 0] = np.nan
    with pytest.raises(ModelError, match=r"1 of the 192 values of 1\.weight are NaN or infinite"):
        SensitivityEngine(broken, small_data)


@pytest.mark.slow
def test_the_default_model_has_the_accuracy_of_its_card():
    engine = SensitivityEngine("depthwise", load_dataset("fashion-mnist"))
    assert engine.exact(engine.uniform(32)).accuracy.value == load_card("depthwise").accuracy
