"""ONNX Runtime's own quantized operators, one node a graph: what the integer reference is compared with."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnx import helper, numpy_helper

from course_lib.quantization.affine import QParams
from course_lib.quantization.integer_conv import ConvGeometry

NDArray = npt.NDArray[Any]
Grid = QParams[NDArray]
Grids = tuple[Grid, Grid, Grid]


def ort_matmul(a: NDArray, b: NDArray, grids: Grids) -> NDArray:
    """Return the codes that QLinearMatMul computes, in the type of ``a``; grids of a, b and the output."""
    return _run_node("QLinearMatMul", a, _quantized_inputs(a, b, grids), {})


def ort_conv2d(
    x: NDArray, weight: NDArray, grids: Grids, geometry: ConvGeometry, bias: NDArray | None = None
) -> NDArray:
    """Return the codes that QLinearConv computes, in the type of ``x``; grids of x, weight and the output."""
    constants = _quantized_inputs(x, weight, grids)
    if bias is not None:
        constants["bias"] = bias.astype(np.int32)
    attributes = {
        "strides": geometry.strides,
        "pads": geometry.pads,
        "dilations": geometry.dilations,
        "group": geometry.groups,
    }
    return _run_node("QLinearConv", x, constants, attributes)


def ort_quantize(x: NDArray, grid: Grid) -> NDArray:
    """Return the codes that QuantizeLinear computes, with one scale."""
    code_type = np.int8 if grid.quant_min < 0 else np.uint8
    return _run_node("QuantizeLinear", x, _scale_and_zero("y", grid, code_type), {}, code_type)


def pairs_saturate() -> bool:
    """Return whether this machine sums pairs of U8 × S8 products in 16 bits, found by one such product.

    255 · 127 · 2 = 64770 becomes 32767 where it does; with a scale of 512, 127 is expected and 64 seen.
    """
    grids = (
        QParams(np.float32(1.0), np.int32(0), 0, 255),
        QParams(np.float32(1.0), np.int32(0), -128, 127),
        QParams(np.float32(512.0), np.int32(0), 0, 255),
    )
    product = ort_matmul(np.full((1, 2), 255, np.uint8), np.full((2, 1), 127, np.int8), grids)
    return int(product.item()) != 127


def _quantized_inputs(a: NDArray, b: NDArray, grids: Grids) -> dict[str, NDArray]:
    a_grid, b_grid, out_grid = grids
    return {
        **_scale_and_zero("a", a_grid, a.dtype),
        "b": b,
        **_scale_and_zero("b", b_grid, b.dtype),
        **_scale_and_zero("y", out_grid, a.dtype),
    }


def _scale_and_zero(name: str, grid: Grid, code_type: npt.DTypeLike) -> dict[str, NDArray]:
    """Return scale and zero point as ONNX takes them: scalars, or one axis where there are several."""
    shape = () if np.size(grid.scale) == 1 else (-1,)
    return {
        f"{name}_scale": np.reshape(grid.scale, shape),
        f"{name}_zero_point": np.reshape(grid.zero_point, shape).astype(code_type),
    }


def _run_node(
    operator: str,
    x: NDArray,
    constants: dict[str, NDArray],
    attributes: dict[str, Any],
    out_type: npt.DTypeLike = None,
) -> NDArray:
    """Run a graph of one node with the input ``x`` and constants in the operator's order, on one thread."""
    element = helper.np_dtype_to_tensor_dtype
    inputs = [helper.make_tensor_value_info("x", element(x.dtype), x.shape)]
    outputs = [helper.make_tensor_value_info("y", element(np.dtype(out_type or x.dtype)), None)]
    node = helper.make_node(operator, ["x", *constants], ["y"], **attributes)
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph([node], operator, inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    result: NDArray = session.run(None, {"x": x})[0]
    return result
