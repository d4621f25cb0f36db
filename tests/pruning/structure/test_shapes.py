"""Shapes against a real run of the same network."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import fx, nn

from course_lib.architectures.tracing import trace_steps
from course_lib.errors import ModelError
from course_lib.pruning.structure.shapes import shapes_of
from course_lib.pruning.structure.step import tensors_in
from tests.pruning.structure.networks import networks


class RealRun(fx.Interpreter):
    """Keeps the shapes of a run with numbers."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.shapes: dict[str, list[tuple[int, ...]]] = {}

    def run_node(self, n: fx.Node) -> object:
        result = super().run_node(n)
        self.shapes[n.name] = [tuple(tensor.shape) for tensor in tensors_in(result)]
        return result


@pytest.mark.parametrize("name", networks())
def test_every_step_has_the_shape_of_a_real_run(name: str) -> None:
    graph, example = trace_steps(networks()[name]), torch.zeros(2, 4, 4, 4)
    real = RealRun(graph)
    real.run(example)
    values = shapes_of(graph, (example,))
    for node, value in values.items():
        assert [tuple(tensor.shape) for tensor in tensors_in(value)] == real.shapes[node.name], node.name
        assert all(tensor.device.type == "meta" for tensor in tensors_in(value))


def test_the_worked_example() -> None:
    graph = trace_steps(nn.Sequential(nn.Conv2d(3, 64, 7, stride=2, padding=3)))
    values = {node.name: value for node, value in shapes_of(graph, (torch.zeros(1, 3, 112, 112),)).items()}
    assert values["_0"].shape == (1, 64, 56, 56)


@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from([0, 1, 2, "same", "valid"]),
    st.integers(5, 9),
)
@settings(max_examples=30)
def test_convolutions(dimensions: int, kernel: int, dilation: int, padding: int | str, size: int) -> None:
    stride = 1 if padding == "same" else 2
    if padding == "same":
        kernel += 1 - kernel % 2  # an even one makes torch warn
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dimensions - 1]
    layer = kind(2, 3, kernel, stride, padding, dilation)
    example = torch.zeros(1, 2, *[size + axis for axis in range(dimensions)])
    if min(example.shape[2:]) + 2 * (padding if isinstance(padding, int) else 0) <= dilation * (kernel - 1):
        return
    graph = trace_steps(nn.Sequential(layer))
    values = {node.name: value for node, value in shapes_of(graph, (example,)).items()}
    assert values["_0"].shape == layer(example).shape


def test_the_step_that_fails_is_named() -> None:
    graph = trace_steps(nn.Sequential(nn.ReLU(), nn.Conv2d(3, 4, 1)))
    sentence = (
        r"^Sequential could not run on the example inputs; it stopped at the step '_1' \(a layer for 3 "
    )
    with pytest.raises(ModelError, match=sentence):
        shapes_of(graph, (torch.zeros(1, 2, 4, 4),))


def test_one_input_too_few_is_said() -> None:
    class Pair(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return x + y

    with pytest.raises(ModelError, match="stopped at the step 'y'"):
        shapes_of(trace_steps(Pair()), (torch.zeros(1),))
