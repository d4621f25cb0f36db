from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from course_lib.errors import ExportError
from course_lib.export.dynamic import build_dynamic, export_dynamic
from course_lib.quantization import PerTensor, sqnr_db
from course_lib.quantization.models.config import WeightScheme
from course_lib.quantization.models.dynamic import quantize_dynamic


def run(content: bytes, inputs: torch.Tensor) -> torch.Tensor:
    session = onnxruntime.InferenceSession(content)
    return torch.from_numpy(session.run(None, {"input": inputs.numpy()})[0])


@pytest.fixture
def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        convs = (
            nn.Conv2d(1, 4, 3, stride=2, padding=1),
            nn.Conv2d(4, 4, 3, groups=4, dilation=2, bias=False),
        )
        return nn.Sequential(
            convs[0], nn.ReLU(), convs[1], nn.Flatten(), nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, 3)
        )


@pytest.mark.slow
@pytest.mark.parametrize("scheme", [WeightScheme(), WeightScheme(granularity=PerTensor(), symmetric=False)])
def test_the_file_computes_what_was_simulated(network: nn.Module, scheme: WeightScheme) -> None:
    images = torch.randn(16, 1, 12, 12)
    model = quantize_dynamic(network, scheme)
    content = build_dynamic(model, images[:1])
    assert sqnr_db(model(images), run(content, images)) > 40
    kinds = {node.op_type for node in onnx.load_model_from_string(content).graph.node}
    assert {"DynamicQuantizeLinear", "ConvInteger", "MatMulInteger"} <= kinds
    assert not {"Conv", "Gemm", "MatMul"} & kinds


@pytest.mark.slow
def test_linear_layers_on_sequences(tmp_path: Path) -> None:
    model = quantize_dynamic(nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 2)))
    x = torch.randn(3, 5, 6)
    path = export_dynamic(model, x[:1], tmp_path / "dynamic.onnx")
    assert sqnr_db(model(x), run(path.read_bytes(), x)) > 40


def test_weights_that_have_no_integer_product(network: nn.Module) -> None:
    with pytest.raises(ExportError, match=r"^The weights of 0 have 4 bits, and ONNX's integer products take"):
        build_dynamic(quantize_dynamic(network, WeightScheme(4)), torch.zeros(1, 1, 12, 12))
