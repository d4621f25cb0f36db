"""MACs from the graph against the count that runs the PyTorch module."""

import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from course_lib.architectures import load_pretrained
from course_lib.benchmarking.macs import conv2d_macs, profile_layers
from course_lib.explore.graph_macs import macs_by_step
from course_lib.explore.model_source import onnx_of
from course_lib.explore.weight_graph import WeightGraph


def test_worked_by_hand(small_net: nn.Module):
    # 6 filters of 3 × 3 at 6 × 6 places; one matrix product of 216 × 3.
    graph = WeightGraph(onnx_of(small_net, (1, 8, 8)))
    assert graph.macs == {"conv.weight": 6 * 9 * 36, "classifier.weight": 216 * 3}
    assert graph.macs["conv.weight"] == conv2d_macs(1, 6, (3, 3), (6, 6))


def test_every_place_of_a_linear_layer_counts():
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lift = nn.Linear(8, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.lift(x.flatten(1, 2))  # 8 rows of the picture are 8 tokens

    assert list(WeightGraph(onnx_of(Tokens().eval(), (1, 8, 8))).macs.values()) == [8 * 40]


def test_a_transposed_convolution_counts_the_pixels_it_reads():
    model = nn.ConvTranspose2d(1, 2, 2, stride=2, bias=False).eval()
    assert list(WeightGraph(onnx_of(model, (1, 4, 4))).macs.values()) == [8 * 16]


def test_unknown_shapes_are_not_guessed():
    axes = ["N", 1, "H", "W"]
    step = helper.make_node("Conv", ["x", "w"], ["y"])
    graph = helper.make_graph(
        [step],
        "open",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, axes)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [helper.make_tensor("w", TensorProto.FLOAT, (1, 1, 3, 3), [0.0] * 9)],
    )
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    assert macs_by_step(model)(step, 9) is None
    assert WeightGraph(model.SerializeToString()).macs == {"w": None}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["depthwise", "residual", "vision_transformer"])
def test_the_zoo_agrees_with_the_count_of_a_run(name: str):
    graph = WeightGraph(onnx_of(name))
    profile = profile_layers(load_pretrained(name), torch.zeros(1, 1, 28, 28))
    expected = {layer.name: layer.macs for layer in profile.layers}
    for weight, macs in graph.macs.items():
        assert macs == expected[weight.removesuffix(".weight")]
