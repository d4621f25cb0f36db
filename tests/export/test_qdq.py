from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, numpy_helper
from torch import Tensor, nn

from course_lib.errors import ExportError, UnknownNameError
from course_lib.export.qdq import build_qdq, export_qdq
from course_lib.quantization import PerTensor, sqnr_db
from course_lib.quantization.models.config import ActivationScheme, QuantizationConfig, WeightScheme
from course_lib.quantization.models.ptq import quantize_model
from course_lib.quantization.models.quantizers import QuantizedModel
from course_lib.runtimes.onnx_insight import optimized_graph


class Network(nn.Module):
    """Convolutions with a shortcut, pooling, and linear layers on vectors and on sequences."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.relu, self.shrink = nn.ReLU(), nn.MaxPool2d(2)
        self.mix = nn.Linear(4, 4)
        self.classifier = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.stem(x))
        x = self.shrink(self.relu(x + self.conv(x)))
        tokens = self.mix(x.flatten(2).transpose(1, 2)).relu()
        return self.classifier(tokens.mean(1))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(32, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Network().eval()


def quantized(network: nn.Module, images: Tensor, weights: WeightScheme, **scheme: object) -> QuantizedModel:
    config = QuantizationConfig(weights, ActivationScheme(**scheme))  # type: ignore[arg-type]
    return quantize_model(network, [images], config)


def run(content: bytes, images: Tensor, *, optimized: bool) -> Tensor:
    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimized else levels.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options)
    return torch.from_numpy(session.run(None, {"input": images.numpy()})[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("weights", "weight_type"),
    [
        (WeightScheme(), "int8"),
        (WeightScheme(), "uint8"),
        (WeightScheme(symmetric=False, granularity=PerTensor()), "int8"),
        (WeightScheme(4), "int8"),
    ],
)
def test_the_file_computes_what_was_simulated(
    network: nn.Module, images: Tensor, weights: WeightScheme, weight_type: str
) -> None:
    model = quantized(network, images, weights)
    content = build_qdq(model, images[:1], weight_type=weight_type)  # type: ignore[arg-type]
    simulated = model(images)
    assert sqnr_db(simulated, run(content, images, optimized=False)) > 40
    assert sqnr_db(simulated, run(content, images, optimized=True)) > 35


@pytest.mark.slow
def test_weights_and_biases_are_integers_on_their_grids(network: nn.Module, images: Tensor) -> None:
    model = quantized(network, images, WeightScheme())
    content = onnx.load_model_from_string(build_qdq(model, images[:1]))
    tensors = {tensor.name: tensor for tensor in content.graph.initializer}
    codes = numpy_helper.to_array(tensors["stem.weight_codes"])
    qparams = model.weight_qparams["stem"]
    assert codes.dtype == np.int8
    np.testing.assert_array_equal(codes * qparams.scale.numpy(), model.graph.get_submodule("stem").weight)
    bias = numpy_helper.to_array(tensors["stem.bias_codes"])
    scale = numpy_helper.to_array(tensors["stem.bias_scale"])
    assert bias.dtype == np.int32
    np.testing.assert_array_equal(
        scale, (model.activation_qparams["x_quantizer"].scale * qparams.scale).flatten()
    )
    original = network.stem.bias.detach().numpy()  # type: ignore[union-attr, operator]
    np.testing.assert_allclose(bias * scale, original, atol=scale.max() / 2)
    floats = [name for name, tensor in tensors.items() if tensor.data_type == TensorProto.FLOAT]
    assert all("scale" in name or name.endswith(".bias") for name in floats)


@pytest.mark.slow
def test_onnxruntime_finds_integer_kernels_for_all_of_a_residual_network(
    network: nn.Module, images: Tensor, tmp_path: Path
) -> None:
    content = build_qdq(quantized(network, images, WeightScheme()), images[:1])
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(content, options)
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert kinds.count("QLinearConv") == 2
    assert kinds.count("QLinearAdd") == 1
    assert "Conv" not in kinds


@pytest.mark.slow
def test_sixteen_bit_activations(network: nn.Module, images: Tensor) -> None:
    model = quantized(network, images, WeightScheme(), bits=16)
    assert sqnr_db(model(images), run(build_qdq(model, images[:1]), images, optimized=False)) > 60


@pytest.mark.slow
def test_tensorrt_gets_symmetric_grids_and_float_biases(network: nn.Module, images: Tensor) -> None:
    model = quantized(network, images, WeightScheme(), symmetric=True)
    content = build_qdq(model, images[:1], target="tensorrt")
    graph = onnx.load_model_from_string(content).graph
    kinds = {tensor.data_type for tensor in graph.initializer}
    assert TensorProto.INT32 not in kinds
    assert TensorProto.UINT8 not in kinds
    assert sqnr_db(model(images), run(content, images, optimized=False)) > 40


@pytest.mark.slow
def test_the_file_is_written_whole(network: nn.Module, images: Tensor, tmp_path: Path) -> None:
    model = quantized(network, images, WeightScheme())
    path = export_qdq(model, images[:1], tmp_path / "int8.onnx")
    assert path.read_bytes() == build_qdq(model, images[:1])


def test_what_has_no_integer_type_is_refused(network: nn.Module, images: Tensor) -> None:
    with pytest.raises(ExportError, match=r"^The activations of x_quantizer have 4 bits, and ONNX quantizes"):
        build_qdq(quantized(network, images, WeightScheme(), bits=4), images[:1])
    with pytest.raises(ExportError, match=r"^The weights of stem have 12 bits, and integer kernels take 8"):
        build_qdq(quantized(network, images, WeightScheme(12)), images[:1])
    with pytest.raises(ExportError, match=r"^TensorRT takes symmetric grids only, and that of x_quantizer"):
        build_qdq(quantized(network, images, WeightScheme()), images[:1], target="tensorrt")
    with pytest.raises(UnknownNameError, match=r"^There is no target called 'tvm'; the known ones are"):
        build_qdq(quantized(network, images, WeightScheme()), images[:1], target="tvm")  # type: ignore[arg-type]


@pytest.mark.slow
def test_pooling_runs_in_integers_and_behind_a_float_layer_before_quantizing(images: Tensor) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        features = [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3), nn.ReLU()]
        model = nn.Sequential(*features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()
    simulated = quantize_model(model, [images], QuantizationConfig(kept_in_float=("0",)))
    content = build_qdq(simulated, images[:1])
    kinds = [node.op_type for node in onnx.load_model_from_string(content).graph.node]
    kinds = [kind for kind in kinds if kind != "DequantizeLinear"]
    assert kinds[:5] == ["Conv", "MaxPool", "Relu", "QuantizeLinear", "Conv"]
    assert "GlobalAveragePool" in kinds
    assert "QLinearGlobalAveragePool" in [node.op_type for node in optimized_graph(content).graph.node]
    torch.testing.assert_close(run(content, images, optimized=False), simulated(images), atol=1e-4, rtol=1e-4)
