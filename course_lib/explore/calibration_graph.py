"""A quantized model whose activation grids are exchanged without exporting it again.

Exporting takes seconds, so the model is exported once, with a quantizer on each activation that gets one in
post-training quantization, and with weights of 8 bits. A setting then changes numbers in the file only: scale
and zero point of each quantizer, and the biases, which lie on the grid of the sums, S_input · S_weight.

Integer types have 8 or 16 bits. A narrower grid is an 8-bit one of which only some codes are used: behind
QuantizeLinear, a Clip of the codes to [quant_min, quant_max]. Rounding and then clipping twice is the same as
clipping once to the narrower range, so this is exact, and the kernels stay in integers. Weights and
activations are unsigned: on a CPU with AVX2 and without VNNI, signed weights could saturate (`diagnose`),
which no calibration is to blame for. Zero then has the code 128 in a symmetric grid of 8 bits.

At 16 bits there is no Clip for the type, so a symmetric grid has one code more than it should.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from course_lib.errors import ModelError
from course_lib.explore.model_source import EXPORTING, ZOO_INPUT, ModelSource, cached
from course_lib.quantization import QParams

if TYPE_CHECKING:
    from torch import nn

SUFFIX = "_quantizer"
"""A quantizer is called as the step whose result it rounds, and this."""

EXAMPLES = 8
"""Random inputs that give each quantizer some grid while exporting; every setting replaces it."""

MOVES = ("MaxPool", "Reshape", "Flatten", "Squeeze", "Transpose", "Identity")
"""Steps that leave values on their grid."""


@dataclass(frozen=True)
class _Bias:
    """A bias on the grid of the sums it is added to.

    ``name`` is that of its output; ``tensor`` the activation and ``weight_scale`` the weights that make the
    sums; ``values`` are its floats.
    """

    name: str
    tensor: str
    weight_scale: NDArray[np.float32]
    values: NDArray[np.float32]


class CalibrationGraph:
    """An exported model with a quantizer on each activation, and the same model in floating point.

    Parameters
    ----------
    quantized
        The bytes of an ONNX file as `export_qdq` writes it, with 16-bit activations.
    parameters
        Name → float32 values of every weight and bias before quantization, batch norms folded.
    """

    def __init__(self, quantized: bytes, parameters: Mapping[str, NDArray[np.float32]]) -> None:
        self._model = onnx.load_model_from_string(quantized)
        self._parameters = dict(parameters)
        self._initializers = {tensor.name: tensor for tensor in self._model.graph.initializer}
        self._quantizers = {
            node.input[1].removesuffix(f"{SUFFIX}.scale"): node
            for node in self._model.graph.node
            if node.op_type == "QuantizeLinear"
        }
        self._biases = list(self._find_biases())

    @property
    def tensors(self) -> list[str]:
        """Names of the quantized activations, in order of execution."""
        return list(self._quantizers)

    def observed(self, *, with_tensors: bool) -> bytes:
        """Return the model in floating point: what a calibration looks at.

        Parameters
        ----------
        with_tensors
            Whether each quantized activation is a further output of the model, in the order of ``tensors``.
        """
        model = _copy(self._model)
        replaced: dict[str, str] = {}
        kept, floats = [], []
        for node in model.graph.node:
            for index, name in enumerate(node.input):
                node.input[index] = replaced.get(name, name)
            stored = node.op_type == "DequantizeLinear" and node.input[0] in self._initializers
            if not stored and node.op_type in ("QuantizeLinear", "DequantizeLinear"):
                replaced[node.output[0]] = node.input[0]
            elif stored:
                floats.append(numpy_helper.from_array(self._float_values(node), node.output[0]))
            else:
                kept.append(node)
        _set_nodes(model, kept)
        model.graph.initializer.extend(floats)
        if with_tensors:
            # The input may be a quantized activation too, and no model may return its input untouched.
            for tensor, node in self._quantizers.items():
                name = f"{tensor}{SUFFIX}.observed"
                source = replaced.get(node.input[0], node.input[0])
                model.graph.node.append(helper.make_node("Identity", [source], [name]))
                model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
        return _content(model)

    def with_grids(self, grids: Mapping[str, QParams[Any]]) -> bytes:
        """Return the quantized model with these grids.

        Parameters
        ----------
        grids
            Name → grid of every quantized activation: unsigned codes of 2 to 8, or of 16 bits, and one scale.
        """
        model = _copy(self._model)
        initializers = {tensor.name: tensor for tensor in model.graph.initializer}
        for tensor, grid in grids.items():
            integer = np.uint8 if grid.bits <= 8 else np.uint16
            _replace(initializers[f"{tensor}{SUFFIX}.scale"], np.float32(grid.scale))
            _replace(
                initializers[f"{tensor}{SUFFIX}.zero_point"], np.asarray(grid.zero_point).astype(integer)
            )
        for bias in self._biases:
            scale = (np.float32(grids[bias.tensor].scale) * bias.weight_scale).astype(np.float32)
            limit = 2**31 - 1
            codes = np.clip(np.rint(bias.values.astype(np.float64) / scale), -limit, limit)
            _replace(initializers[f"{bias.name}_scale"], scale)
            _replace(initializers[f"{bias.name}_codes"], codes.astype(np.int32))
        nodes = []
        for node in model.graph.node:
            nodes.append(node)
            if node.op_type == "QuantizeLinear":
                nodes.extend(_clip(model, node, grids[node.input[1].removesuffix(f"{SUFFIX}.scale")]))
        _set_nodes(model, nodes)
        return _content(model)

    def _float_values(self, node: onnx.NodeProto) -> NDArray[np.float32]:
        """Return the values behind a DequantizeLinear of stored integers, as they were before rounding."""
        name = node.input[0].removesuffix("_codes")
        values = self._parameters[name]
        # Where the exporter turns a linear layer's weight, its integers are stored turned, for another name.
        return np.ascontiguousarray(values if node.output[0] == name else values.T)

    def _find_biases(self) -> Iterator[_Bias]:
        maker = {name: node for node in self._model.graph.node for name in node.output}
        for node in self._model.graph.node:
            if node.op_type not in ("Conv", "Gemm") or len(node.input) < 3:
                continue
            bias, weight, source = (maker.get(node.input[index]) for index in (2, 1, 0))
            while source is not None and source.op_type in MOVES:
                source = maker.get(source.input[0])
            if bias is None or weight is None or source is None or bias.op_type != "DequantizeLinear":
                continue
            yield _Bias(
                name=node.input[2],
                tensor=source.input[1].removesuffix(f"{SUFFIX}.scale"),
                weight_scale=numpy_helper.to_array(self._initializers[weight.input[1]]),
                values=self._parameters[node.input[2]],
            )


def calibration_graph(source: ModelSource, input_shape: Sequence[int] = ZOO_INPUT) -> CalibrationGraph:
    """Return the graph of a zoo network or of a PyTorch module; that of a zoo network is kept on disk.

    Parameters
    ----------
    input_shape
        (C, H, W) of one input.

    Raises
    ------
    UnknownNameError
        If a name is not in the zoo.
    ModelError
        If the model cannot be quantized, or is an ONNX file.
    ExportError
        If it cannot be exported.
    """
    if isinstance(source, PathLike) or (isinstance(source, str) and source.endswith(".onnx")):
        raise ModelError(
            f"{source} is an ONNX file, and quantizers are put between the layers of a PyTorch module; pass "
            "the module that it was exported from, or a name of the zoo."
        )
    if isinstance(source, str):
        content = cached(source, "calibration", lambda model: _export(model, ZOO_INPUT))
    else:
        content = _export(source, input_shape)
    with np.load(io.BytesIO(content)) as stored:
        parameters = {name: stored[name] for name in stored.files if name != QUANTIZED}
        return CalibrationGraph(stored[QUANTIZED].tobytes(), parameters)


QUANTIZED = "quantized.onnx"


def _export(model: "nn.Module", input_shape: Sequence[int]) -> bytes:
    """Return an .npz file with the quantized model and its parameters before quantization."""
    import torch

    from course_lib.export.qdq import build_qdq
    from course_lib.quantization.models.config import ActivationScheme, QuantizationConfig
    from course_lib.quantization.models.ptq import calibrate, convert, prepare

    examples = np.random.default_rng(0).standard_normal((EXAMPLES, *input_shape)).astype(np.float32)
    config = QuantizationConfig(activations=ActivationScheme(bits=16, observer="minmax"))
    calibrated = calibrate(prepare(model, config), [torch.from_numpy(examples)])
    with EXPORTING:
        quantized = build_qdq(convert(calibrated), torch.zeros(1, *input_shape), weight_type="uint8")
    floats = {name: value.numpy() for name, value in calibrated.graph.state_dict().items()}
    arrays: dict[str, Any] = {QUANTIZED: np.frombuffer(quantized, np.uint8), **floats}
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _clip(model: onnx.ModelProto, node: onnx.NodeProto, grid: QParams[Any]) -> list[onnx.NodeProto]:
    """Return the step that keeps a quantizer's codes inside its grid, if its type holds more of them."""
    if grid.bits > 8 or (grid.quant_min, grid.quant_max) == (0, 255):
        return []
    inputs, output = [f"{node.output[0]}_codes"], node.output[0]
    for end, code in (("low", grid.quant_min), ("high", grid.quant_max)):
        inputs.append(f"{output}_{end}")
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(code, np.uint8), inputs[-1]))
    node.output[0] = inputs[0]
    return [helper.make_node("Clip", inputs, [output])]


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied


def _set_nodes(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    kept = [_copy_node(node) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(kept)


def _copy_node(node: onnx.NodeProto) -> onnx.NodeProto:
    copied = onnx.NodeProto()
    copied.CopyFrom(node)
    return copied


def _replace(tensor: TensorProto, values: Any) -> None:
    tensor.CopyFrom(numpy_helper.from_array(np.asarray(values), tensor.name))


def _content(model: onnx.ModelProto) -> bytes:
    content: bytes = model.SerializeToString()
    return content
