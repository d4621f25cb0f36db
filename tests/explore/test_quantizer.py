import math
import re

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from course_lib.errors import SettingError
from course_lib.explore.quantizer import BITS, QuantizerSetting, study_quantizer
from course_lib.explore.quantizer_text import Distance, explain
from course_lib.explore.tensors import DISTRIBUTIONS, distribution, drawn, from_array
from course_lib.quantization import (
    PerChannel,
    PerGroup,
    PerTensor,
    choose_qparams,
    encode,
    fake_quantize,
    ideal_sqnr_db,
    quantize,
    sqnr_db,
)

SETTINGS = st.builds(
    QuantizerSetting,
    bits=st.sampled_from(BITS),
    symmetric=st.booleans(),
    granularity=st.sampled_from([PerTensor(), PerChannel(), PerGroup(32)]),
    clip=st.floats(0.05, 1),
    outlier=st.sampled_from([0.0, 5.0, 100.0]),
)


def test_three_values_by_hand() -> None:
    # 2 bits, symmetric: codes −1, 0, 1 and S = 1. Errors 0, 0.4, 0.4; signal 1.32, noise 0.32.
    result = study_quantizer(from_array([-1.0, 0.4, 0.4]), QuantizerSetting(bits=2))
    assert (result.grid.scale, result.grid.zero_point) == (1.0, 0)
    assert result.grid.levels == (-1, 0, 1)
    assert result.grid.counts == (1, 2, 0)
    assert result.max_error == pytest.approx(0.4)
    assert result.half_step == 0.5
    assert result.sqnr_db == pytest.approx(10 * math.log10(1.32 / 0.32))
    assert (result.low, result.high) == (-1.0, pytest.approx(0.4))
    assert result.float_bytes == 12
    # Three codes of 2 bits in a byte, and a scale of 4 bytes.
    assert result.size_bytes == 5
    assert result.rest_sqnr_db is None


def test_clipping_noise_by_hand() -> None:
    # Half of the range: S = 0.5, levels −0.5, 0, 0.5; 1 and −1 are cut off by 0.5 each, 0.4 rounds to 0.5.
    result = study_quantizer(from_array([-1.0, 1.0, 0.4, 0.0]), QuantizerSetting(bits=2, clip=0.5))
    assert result.grid.levels == (-0.5, 0, 0.5)
    assert result.clipped == 2
    assert result.clipping_noise == pytest.approx(2 * 0.25 / 4)
    assert result.rounding_noise == pytest.approx(0.01 / 4)
    assert "98% of the noise comes from the 2 values beyond the ends of the grid" in result.explanation


@settings(max_examples=40)
@given(st.sampled_from(sorted(DISTRIBUTIONS)), SETTINGS)
def test_every_number_comes_from_the_same_quantizer(name: str, setting: QuantizerSetting) -> None:
    result = study_quantizer(distribution(name), setting)
    x = distribution(name).with_outlier(setting.outlier).values
    qparams = choose_qparams(
        np.float32(setting.clip) * x,
        setting.bits,
        symmetric=setting.symmetric,
        granularity=setting.granularity,
    )
    assert result.sqnr_db == sqnr_db(x, fake_quantize(x, qparams))
    assert dict(result.sqnr_by_bits)[setting.bits] == result.sqnr_db
    assert [bits for bits, _ in result.sqnr_by_bits] == list(BITS)
    assert result.scales == qparams.scale.size
    assert result.size_bytes == encode(quantize(x, qparams), qparams).size_bytes
    assert sum(result.histogram.counts) == x.size
    noise = np.square(fake_quantize(x, qparams).astype(np.float64) - x).mean()
    assert result.clipping_noise + result.rounding_noise == pytest.approx(noise)
    if not result.clipped:
        assert result.max_error <= result.half_step * 1.02
        assert result.clipping_noise == 0


@settings(max_examples=40)
@given(st.sampled_from(sorted(DISTRIBUTIONS)), SETTINGS)
def test_the_drawn_error_is_the_quantizers(name: str, setting: QuantizerSetting) -> None:
    grid = study_quantizer(distribution(name), setting).grid
    half = grid.scale / 2
    assert max(abs(error) for _, error in grid.teeth) == pytest.approx(half, rel=0.01)
    places = [x for line in (grid.clipped[0], grid.teeth, grid.clipped[1]) for x, _ in line]
    assert max(abs(x) for x in places) <= grid.axis * 1.001
    if grid.levels:
        assert sum(grid.counts) == 4096 / {1: 1, 16: 16, 128: 128}[_scales(setting)]
        below, above = grid.clipped
        for line, end, side in ((below, grid.ends[0], 0), (above, grid.ends[1], -1)):
            if line:
                x, error = line[side]
                assert error == pytest.approx(end - x, abs=1e-4 * grid.axis)


def _scales(setting: QuantizerSetting) -> int:
    return {PerTensor(): 1, PerChannel(): 16, PerGroup(32): 128}[setting.granularity]


@pytest.mark.parametrize("symmetric", [True, False])
def test_onnx_runtime_rounds_to_the_same_values(symmetric: bool) -> None:
    tensor = distribution("Laplace")
    result = study_quantizer(tensor, QuantizerSetting(bits=8, symmetric=symmetric))
    kind = TensorProto.INT8 if symmetric else TensorProto.UINT8
    constants = [
        helper.make_tensor("s", TensorProto.FLOAT, [], [result.grid.scale]),
        helper.make_tensor("z", kind, [], [result.grid.zero_point]),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [16, 256]) for name in "xy"]
    graph = helper.make_graph(nodes, "qdq", ports[:1], ports[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (rounded,) = session.run(None, {"x": tensor.values})
    assert sqnr_db(tensor.values, rounded) == pytest.approx(result.sqnr_db, abs=1e-6)


def test_a_uniform_tensor_lies_where_theory_says() -> None:
    # Evenly spread values have the crest factor √3: 10 log10(3 / 2) dB below the sine's line.
    result = study_quantizer(distribution("uniform"), QuantizerSetting(bits=10, symmetric=False))
    assert result.ideal_db - result.sqnr_db == pytest.approx(10 * math.log10(3 / 2), abs=0.15)
    assert result.ideal_db == ideal_sqnr_db(10)


def test_each_bit_is_worth_six_decibels_without_clipping_and_nothing_with() -> None:
    free = dict(study_quantizer(distribution("normal"), QuantizerSetting()).sqnr_by_bits)
    clipped = dict(study_quantizer(distribution("normal"), QuantizerSetting(clip=0.3)).sqnr_by_bits)
    assert free[12] - free[6] == pytest.approx(6 * 6.02, abs=0.6)
    assert clipped[12] - clipped[6] < 0.1


def test_an_outlier_hurts_all_others_unless_groups_keep_it_apart() -> None:
    tensor = distribution("normal")
    plain, stretched, grouped = (
        study_quantizer(tensor, setting)
        for setting in (
            QuantizerSetting(8),
            QuantizerSetting(8, outlier=50),
            QuantizerSetting(8, outlier=50, granularity=PerGroup(32)),
        )
    )
    assert stretched.grid.scale > 10 * plain.grid.scale
    assert stretched.rest_sqnr_db < plain.sqnr_db - 20
    assert grouped.rest_sqnr_db > stretched.rest_sqnr_db + 10
    assert "for the sake of one outlier" in stretched.explanation
    assert plain.histogram.outlier is None
    assert stretched.histogram.outlier == stretched.high
    assert (grouped.grid.channel, grouped.grid.group) == (0, 0)


def test_a_drawing_keeps_its_axis_and_height() -> None:
    result = study_quantizer(drawn([0, 0.5, 0, 0, 0], limit=3.0), QuantizerSetting())
    assert result.histogram.limit == 3.0
    assert max(result.histogram.counts) / result.histogram.top == 0.5


def test_fine_grids_are_drawn_as_a_band() -> None:
    coarse = study_quantizer(distribution("normal"), QuantizerSetting(6)).grid
    fine = study_quantizer(distribution("normal"), QuantizerSetting(7)).grid
    assert len(coarse.levels) == len(coarse.counts) == 63
    assert fine.levels == fine.counts == ()
    assert len(fine.teeth) == 4
    assert fine.ends == pytest.approx((-63 * fine.scale, 63 * fine.scale))


def test_zeros_only() -> None:
    result = study_quantizer(from_array(np.zeros((2, 4))), QuantizerSetting())
    assert math.isinf(result.sqnr_db)
    assert result.max_error == 0
    assert result.explanation.startswith("Every value lies exactly on the grid")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"measured_db": 25.0}, "Within 1 dB of the line"),
        ({"clipped": 1, "clipping_share": 0.9}, "90% of the noise comes from the 1 value beyond"),
        ({"lost": 0.8, "loading_db": 30.0}, "the steps are coarse and 80% of the values become 0"),
        ({"outlier_db": 9.0}, "for the sake of one outlier"),
        ({"half_empty": True}, "half of a symmetric grid stays empty"),
        ({}, "the range reaches 4.5 times the root mean square .*few of them use the outer steps"),
        ({"loading_db": 3.0}, "fill the grid less than the sine"),
        ({"loading_db": -3.0, "measured_db": 29.0}, "3.2 dB above the line: .*fill the grid more than"),
    ],
)
def test_the_main_reason_is_named(change: dict[str, float], sentence: str) -> None:
    usual = {"measured_db": 15.8, "ideal_db": 25.8, "loading_db": 10.0, "clipped": 0, "clipping_share": 0.0}
    distance = Distance(**{**usual, "lost": 0.1, "outlier_db": 0.0, "half_empty": False, **change})
    explanation = explain(distance)
    assert explanation.count(". ") == 0
    assert explanation.endswith(".")
    assert re.search(sentence, explanation)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bits": 1}, "bits is 1, but quantization takes a whole number from 2 to 16"),
        ({"clip": 0.0}, "clip is 0.0; expected the share of the range to keep, above 0 and at most 1"),
        ({"clip": float("nan")}, "clip is nan"),
        ({"clip": 1.1}, "clip is 1.1"),
        ({"outlier": -1.0}, "outlier is -1.0; expected a multiple of the standard deviation"),
        ({"outlier": float("inf")}, "outlier is inf"),
    ],
)
def test_settings_out_of_range_are_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        QuantizerSetting(**arguments)


def test_groups_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SettingError, match="Groups of 5 do not divide the 256 values of a channel"):
        study_quantizer(distribution("normal"), QuantizerSetting(granularity=PerGroup(5)))


def test_the_curve_is_remembered_when_only_the_bits_move() -> None:
    tensor = distribution("normal")
    assert study_quantizer(tensor, QuantizerSetting(4)).sqnr_by_bits is (
        study_quantizer(tensor, QuantizerSetting(5)).sqnr_by_bits
    )
