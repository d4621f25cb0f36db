import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from course_lib.errors import ModelError
from course_lib.quantization import (
    PerChannel,
    PerGroup,
    PerTensor,
    QParams,
    choose_qparams,
    decode,
    dequantize,
    encode,
    fake_quantize,
    quantize,
    sqnr_db,
)


@st.composite
def grouped_weights(draw):
    shape = (draw(st.integers(1, 4)), draw(st.sampled_from([1, 2, 6])), 2, draw(st.sampled_from([2, 3])))
    axis = draw(st.integers(-4, 3))
    count = int(np.prod(shape)) // shape[axis]
    group_size = draw(st.sampled_from([g for g in range(1, count + 1) if count % g == 0]))
    x = np.random.default_rng(draw(st.integers(0, 999))).normal(size=shape).astype(np.float32)
    return x, PerGroup(group_size, axis)


# Worked by hand


def test_groups_by_hand():
    # 4 bits, symmetric: S is the largest of each pair divided by 7
    x = np.asarray([[7.0, 3.0, 0.7, -0.2], [-14.0, 5.0, 0.0, 0.0]], np.float32)
    qparams = choose_qparams(x, 4, symmetric=True, granularity=PerGroup(2))
    assert qparams.scale.shape == qparams.zero_point.shape == (2, 2)
    assert (qparams.group_size, qparams.group_axis) == (2, 0)
    assert qparams.scale.ravel() == pytest.approx([1, 0.1, 2, 1])
    assert quantize(x, qparams).tolist() == [[7, 3, 7, -2], [-7, 2, 0, 0]]


def test_scales_are_repeated_for_the_values_that_share_them():
    scale = np.asarray([[1, 2], [3, 4]], np.float32)
    qparams = QParams(scale, np.zeros((2, 2), np.int32), -7, 7, group_size=2)
    expanded = qparams.expanded((2, 1, 2, 2))
    assert expanded.scale.tolist() == [[[[1, 1], [2, 2]]], [[[3, 3], [4, 4]]]]
    assert expanded.group_size is None
    transposed = QParams(scale, scale.astype(np.int32), -7, 7, group_size=2, group_axis=1).expanded((4, 2))
    assert transposed.scale.tolist() == [[1, 3], [1, 3], [2, 4], [2, 4]]
    assert (transposed.zero_point == transposed.scale).all()


def test_a_grid_without_groups_comes_back_as_it_is():
    qparams = QParams(np.ones(1, np.float32), np.zeros(1, np.int32), 0, 15)
    assert qparams.expanded((3, 4)) is qparams


def test_stored_size_counts_one_scale_a_group():
    x = np.random.default_rng(0).normal(size=(6, 4, 2, 2)).astype(np.float32)
    symmetric = choose_qparams(x, 4, symmetric=True, granularity=PerGroup(8))
    assert encode(quantize(x, symmetric), symmetric, "dense").size_bytes == 96 // 2 + 12 * 4
    asymmetric = choose_qparams(x, 4, symmetric=False, granularity=PerGroup(8))
    assert encode(quantize(x, asymmetric), asymmetric, "dense").size_bytes == 96 // 2 + 12 * 4 + 12 // 2


# Properties


@given(grouped_weights(), st.integers(2, 16), st.booleans())
def test_each_group_is_quantized_as_if_it_were_alone(case, bits, symmetric):
    x, granularity = case
    qparams = choose_qparams(x, bits, symmetric=symmetric, granularity=granularity)
    groups = granularity.split(x)
    alone = [
        [choose_qparams(g, bits, symmetric=symmetric, granularity=PerTensor()) for g in row] for row in groups
    ]
    assert qparams.scale.tolist() == [[one.scale.item() for one in row] for row in alone]
    expected = [
        [fake_quantize(g, one) for g, one in zip(row, ones, strict=True)]
        for row, ones in zip(groups, alone, strict=True)
    ]
    assert (granularity.split(fake_quantize(x, qparams)) == np.asarray(expected)).all()


@given(grouped_weights(), st.integers(2, 16), st.booleans())
def test_no_value_of_a_group_moves_by_more_than_half_a_step(case, bits, symmetric):
    x, granularity = case
    qparams = choose_qparams(x, bits, symmetric=symmetric, granularity=granularity)
    steps = (x - fake_quantize(x, qparams).astype(np.float64)) / qparams.expanded(x.shape).scale
    assert np.abs(steps).max() <= 0.5 + 2.0**bits * 2**-23


@given(grouped_weights(), st.booleans())
def test_numpy_and_torch_agree_and_codes_come_back(case, symmetric):
    x, granularity = case
    ours = choose_qparams(x, 4, symmetric=symmetric, granularity=granularity)
    theirs = choose_qparams(torch.from_numpy(x), 4, symmetric=symmetric, granularity=granularity)
    codes = quantize(torch.from_numpy(x), theirs)
    assert (codes.numpy() == quantize(x, ours)).all()
    assert (dequantize(codes, theirs).numpy() == fake_quantize(x, ours)).all()
    assert (decode(encode(codes, theirs)) == codes.numpy()).all()


def test_one_group_a_channel_is_the_grid_of_the_channel():
    x = np.random.default_rng(0).normal(size=(5, 3, 2, 2)).astype(np.float32)
    grouped = choose_qparams(x, 8, symmetric=False, granularity=PerGroup(12))
    by_channel = choose_qparams(x, 8, symmetric=False, granularity=PerChannel(0))
    assert (quantize(x, grouped) == quantize(x, by_channel)).all()


def test_smaller_groups_come_closer():
    x = np.random.default_rng(0).standard_t(4, size=(16, 256)).astype(np.float32)
    sqnr = [
        sqnr_db(x, fake_quantize(x, choose_qparams(x, 4, symmetric=True, granularity=granularity)))
        for granularity in (PerTensor(), PerChannel(0), PerGroup(64), PerGroup(16), PerGroup(4))
    ]
    assert sqnr == sorted(sqnr)


# Independent oracle


@pytest.mark.parametrize(("onnx_type", "signed"), [(TensorProto.INT8, True), (TensorProto.UINT8, False)])
def test_onnx_runtime_quantizes_blocks_alike(onnx_type, signed):
    x = np.random.default_rng(0).normal(size=(8, 64)).astype(np.float32)
    qparams = choose_qparams(x, 8, symmetric=signed, granularity=PerGroup(16))
    constants = [
        helper.make_tensor("scale", TensorProto.FLOAT, qparams.scale.shape, qparams.scale.ravel()),
        helper.make_tensor("zero_point", onnx_type, qparams.scale.shape, qparams.zero_point.ravel()),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero_point"], ["q"], axis=1, block_size=16),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero_point"], ["y"], axis=1, block_size=16),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "blocks",
        [value("x", TensorProto.FLOAT, x.shape)],
        [value("q", onnx_type, x.shape), value("y", TensorProto.FLOAT, x.shape)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    codes, values = session.run(None, {"x": x})
    assert (codes == quantize(x, qparams)).all()
    assert (values == fake_quantize(x, qparams)).all()


# Errors


@pytest.mark.parametrize("shape", [(2, 8), (4, 4), (), (2, 2, 3)])
def test_a_tensor_of_another_shape_is_refused(shape):
    qparams = QParams(np.ones((2, 2), np.float32), np.zeros((2, 2), np.int32), -7, 7, group_size=2)
    with pytest.raises(ModelError) as error:
        quantize(np.ones(shape, np.float32), qparams)
    assert str(error.value) == (
        f"This grid has 2 groups of 2 values for each of 2 channels along axis 0, which do not make up a "
        f"tensor of shape {shape}; pass the tensor that it was chosen for."
    )
