"""A small network for tests of the compilers, as a module and as an ONNX file that needs no exporter."""

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from course_lib.reproducibility import seeded_torch

SHAPE = (1, 6, 6)


class SmallNet(nn.Module):
    """A convolution with norm, ReLU and a linear layer, for 1×6×6 inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4 * 36, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.norm(self.conv(x))).flatten(1))


def small_net() -> nn.Module:
    """Return the module with weights that are always the same."""
    with seeded_torch(0):
        return SmallNet().eval()


def calibration(count: int = 40) -> np.ndarray:
    """Return inputs, the same each time."""
    return np.random.default_rng(1).standard_normal((count, *SHAPE), np.float32)


def write_small_onnx(path: Path, batch: int | str = "batch", height: int | str = 6) -> Path:
    """Write conv → relu → flatten → matmul as an ONNX file."""
    rng = np.random.default_rng(0)
    weights = {
        "kernel": rng.standard_normal((4, 1, 3, 3), np.float32),
        "bias": rng.standard_normal(4, np.float32),
        "head": rng.standard_normal((4 * 36, 3), np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["input", "kernel", "bias"], ["mapped"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["mapped"], ["positive"], "relu"),
        helper.make_node("Flatten", ["positive"], ["flat"], "flatten"),
        helper.make_node("MatMul", ["flat", "head"], ["logits"], "head"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, (batch, 1, height, 6))],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, (batch, 3))],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    return path


def write_for_others(path: Path, opset: int = 20, operator: str = "") -> Path:
    """Write the same file in another opset, or with "Name" or "domain:Name" in place of the ReLU."""
    model = onnx.load(write_small_onnx(path))
    model.opset_import[0].version = opset
    if operator:
        domain, _, name = operator.rpartition(":")
        relu = next(node for node in model.graph.node if node.op_type == "Relu")
        relu.op_type, relu.domain = name, domain
        if domain:
            model.opset_import.append(helper.make_opsetid(domain, 1))
    onnx.save(model, path)
    return path
