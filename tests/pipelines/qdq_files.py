"""Quantized ONNX files written by hand: a convolution with bytes on both sides, ReLU, a float layer."""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

CODES = np.arange(-18, 18, dtype=np.int8).reshape(4, 1, 3, 3)


def qdq_model(codes: NDArray = CODES, *, groups: int = 1, float_layer: bool = True) -> onnx.ModelProto:
    """Return input (N, C, 6, 6) → quantize → convolution of integer codes → ReLU → quantize [→ linear]."""
    out_channels, channels = len(codes), codes.shape[1] * groups
    weight = np.random.default_rng(0).normal(size=(3, out_channels * 16)).astype(np.float32)
    constants = {
        "x_scale": np.float32(0.02),
        "x_zero": np.uint8(128),
        "conv.weight_codes": codes,
        "conv.weight_scale": np.float32(0.01),
        "conv.weight_zero_point": codes.dtype.type(0),
        "y_scale": np.float32(0.01),
        "y_zero": np.uint8(0),
        "linear.weight": weight,
    }
    make = helper.make_node
    nodes = [
        make("QuantizeLinear", ["input", "x_scale", "x_zero"], ["x_codes"], name="q_x"),
        make("DequantizeLinear", ["x_codes", "x_scale", "x_zero"], ["x"], name="dq_x"),
        make(
            "DequantizeLinear",
            ["conv.weight_codes", "conv.weight_scale", "conv.weight_zero_point"],
            ["w"],
            name="dq_w",
        ),
        make("Conv", ["x", "w"], ["conv"], name="conv", group=groups),
        make("Relu", ["conv"], ["relu"], name="relu"),
        make("QuantizeLinear", ["relu", "y_scale", "y_zero"], ["y_codes"], name="q_y"),
        make("DequantizeLinear", ["y_codes", "y_scale", "y_zero"], ["y"], name="dq_y"),
        make("Flatten", ["y"], ["flat"], name="flatten"),
    ]
    if float_layer:
        nodes.append(make("Gemm", ["flat", "linear.weight"], ["logits"], name="linear", transB=1))
    else:
        nodes[-1].output[0] = "logits"
    graph = helper.make_graph(
        nodes,
        "qdq",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", channels, 6, 6])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def float_model(codes: NDArray = CODES) -> onnx.ModelProto:
    """Return the same network without a quantizer."""
    model = qdq_model(codes)
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    weight = (values["conv.weight_codes"] * values["conv.weight_scale"]).astype(np.float32)
    make = helper.make_node
    nodes = [
        make("Conv", ["input", "conv.weight"], ["conv"], name="conv"),
        make("Relu", ["conv"], ["relu"], name="relu"),
        make("Flatten", ["relu"], ["flat"], name="flatten"),
        make("Gemm", ["flat", "linear.weight"], ["logits"], name="linear", transB=1),
    ]
    weights = {"conv.weight": weight, "linear.weight": values["linear.weight"]}
    graph = helper.make_graph(
        nodes,
        "float",
        list(model.graph.input),
        list(model.graph.output),
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def images(batch: int = 4, channels: int = 1) -> NDArray:
    return np.random.default_rng(1).normal(0, 0.8, (batch, channels, 6, 6)).astype(np.float32)
