import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from course_lib.errors import DataError, ModelError
from course_lib.quantization import sqnr_db
from course_lib.quantization.models.config import WeightScheme
from course_lib.quantization.models.dynamic import DynamicQuantizer, quantize_dynamic


def test_worked_value() -> None:
    # The range of [0.5, 2] widened to 0 gives S = 2 / 255; 0.5 / S = 63.75 → 64.
    rounded = DynamicQuantizer()(torch.tensor([0.5, 2.0]))
    torch.testing.assert_close(rounded, torch.tensor([64 * 2 / 255, 2.0]))


@pytest.mark.parametrize("seed", range(5))
def test_the_grid_is_that_of_onnxs_operator(seed: int) -> None:
    x = np.random.default_rng(seed).normal(seed - 2, 1, (7, 5)).astype(np.float32)
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name in ("x", "y")]
    model = helper.make_model(
        helper.make_graph(nodes, "g", ends[:1], ends[1:]),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (expected,) = session.run(None, {"x": x})
    np.testing.assert_allclose(
        DynamicQuantizer()(torch.from_numpy(x)).numpy(), expected, rtol=1e-6, atol=1e-7
    )


def test_a_quantizer_stands_before_each_layer_and_nothing_is_calibrated(
    network: nn.Module, images: Tensor
) -> None:
    quantized = quantize_dynamic(network)
    found = [path for path, each in quantized.graph.named_modules() if isinstance(each, DynamicQuantizer)]
    assert found == [f"{name}_quantizer" for name in ("x", "stem_2", "relu", "pool")]
    assert sqnr_db(network(images).detach(), quantized(images)) > 25
    assert not quantized.activation_qparams


def test_layers_in_float_keep_their_weights(network: nn.Module) -> None:
    quantized = quantize_dynamic(network, kept_in_float=("classifier",))
    assert "classifier" not in quantized.weight_qparams
    assert torch.equal(quantized.graph.classifier.weight, network.classifier.weight)  # type: ignore[union-attr, arg-type]


def test_what_dynamic_quantization_cannot_do(network: nn.Module) -> None:
    with pytest.raises(DataError, match=r"^This model was not calibrated yet"):
        quantize_dynamic(network, WeightScheme(rounding="gptq"))
    with pytest.raises(ModelError, match=r"of the type LSTM, which cannot be quantized"):
        quantize_dynamic(nn.Sequential(nn.LSTM(2, 2)))
