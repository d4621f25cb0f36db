"""The split attention against torch's own."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from course_lib.architectures.tracing import trace_steps
from course_lib.pruning.structure.attention import SplitAttention, split_attention
from course_lib.pruning.structure.dependency import DependencyGraph


class Attending(nn.Module):
    def __init__(self, keyword: str = "") -> None:
        super().__init__()
        self.layer = nn.MultiheadAttention(8, 2, batch_first=True)
        self.keyword = keyword

    def forward(self, x: Tensor) -> Tensor:
        match self.keyword:
            case "mask":
                return self.layer(x, x, x, attn_mask=torch.ones(5, 5).tril() == 0)[0]
            case "weights":
                return self.layer(x, x, x)[1]
            case "twice":
                return self.layer(y := self.layer(x, x, value=x)[0], y, y, need_weights=False)[0]
        return self.layer(x, x, x)[0]


@given(st.integers(1, 3), st.integers(1, 4), st.booleans(), st.booleans(), st.booleans(), st.integers(0, 99))
@settings(max_examples=25)
def test_it_computes_what_torch_does(
    heads: int, width: int, bias: bool, batch_first: bool, others: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    dim = heads * width
    sizes = {"kdim": 3, "vdim": 4} if others else {}
    layer = nn.MultiheadAttention(dim, heads, bias=bias, batch_first=batch_first, **sizes).eval()
    query = torch.randn(2, 5, dim)
    key, value = torch.randn(2, 6, sizes.get("kdim", dim)), torch.randn(2, 6, sizes.get("vdim", dim))
    if not batch_first:
        query, key, value = (x.transpose(0, 1) for x in (query, key, value))
    with torch.no_grad():
        expected = layer(query, key, value, need_weights=False)[0]
        torch.testing.assert_close(SplitAttention(layer)(query, key, value), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("keyword", ["", "twice"])
def test_the_steps_of_a_model_are_replaced(keyword: str) -> None:
    model = Attending(keyword).eval()
    graph = trace_steps(model)
    split_attention(graph)
    x = torch.randn(2, 5, 8)
    with torch.no_grad():
        torch.testing.assert_close(graph(x), model(x), rtol=1e-5, atol=1e-6)
    assert {str(node.target) for node in graph.graph.nodes if node.op == "call_module"} == {
        f"layer.{name}" for name in ("query", "key", "value", "out")
    }
    assert isinstance(model.layer, nn.MultiheadAttention)


@pytest.mark.parametrize("keyword", ["mask", "weights"])
def test_other_calls_stay_and_are_not_pruned(keyword: str) -> None:
    graph = DependencyGraph(Attending(keyword), torch.zeros(2, 5, 8))
    assert any(str(node.target) == "layer" for node in graph.graph.graph.nodes)
    assert graph.groups == ()


def test_heads_by_hand() -> None:
    (group,) = DependencyGraph(Attending(), torch.zeros(2, 5, 8)).groups
    assert {(part.path, part.role): part.indices[1] for part in group.slices} == {
        ("layer.query", "out"): (4, 5, 6, 7),
        ("layer.key", "out"): (4, 5, 6, 7),
        ("layer.value", "out"): (4, 5, 6, 7),
        ("layer.out", "in"): (4, 5, 6, 7),
    }
