"""The proof: by hand, and that it notices a wrong model."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from course_lib.errors import ModelError
from course_lib.pruning.structure.dependency import DependencyGraph
from course_lib.pruning.structure.proof import Proof, compare, masked_weights, prove, require_proof
from course_lib.pruning.structure.removal import remove
from tests.pruning.structure.networks import networks


@pytest.fixture
def graph() -> DependencyGraph:
    model = nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0], [2.0]]))
        model[2].weight.copy_(torch.tensor([[3.0, 4.0]]))
    return DependencyGraph(model, torch.ones(1, 1))


def test_the_worked_example(graph: DependencyGraph) -> None:
    assert masked_weights(graph, {"0": [0]})["2.weight"].tolist() == [[0.0, 4.0]]
    pruned = remove(graph, {"0": [0]})
    assert pruned(torch.ones(1, 1)).item() == 8.0
    assert prove(graph, {"0": [0]}, pruned, torch.ones(1, 1)) == Proof(0.0, 0.0)


def test_another_channel_is_noticed(graph: DependencyGraph) -> None:
    pruned = remove(graph, {"0": [0]})
    proof = prove(graph, {"0": [1]}, pruned, torch.ones(1, 1))
    assert proof == Proof(5.0, pytest.approx(5 / 3))
    assert not proof.holds
    sentence = r"^The pruned model differs from the masked one by .*, so it is not used: the model depends on"
    with pytest.raises(ModelError, match=sentence):
        require_proof(graph, {"0": [1]}, pruned)


@pytest.mark.parametrize("name", ["residual", "shuffle", "gate", "heads", "flatten"])
def test_a_small_error_in_any_weight_is_noticed(name: str) -> None:
    torch.manual_seed(0)
    graph = DependencyGraph(networks()[name].eval(), torch.randn(1, 4, 4, 4))
    chosen = {group.name: [1] for group in graph.groups}
    pruned = remove(graph, chosen)
    with torch.no_grad():
        next(tensor for tensor in pruned.parameters() if tensor.ndim > 1).flatten()[0] += 0.01
    assert not prove(graph, chosen, pruned, torch.randn(2, 4, 4, 4)).holds


def test_a_real_input_is_run_as_well(graph: DependencyGraph) -> None:
    pruned = remove(graph, {"0": [0]})
    with torch.no_grad():
        pruned.get_submodule("2").weight.fill_(math.nan)
    with pytest.raises(ModelError, match="differs from the masked one by nan"):
        require_proof(graph, {"0": [0]}, pruned, [torch.ones(1, 1)])


def test_a_model_that_cannot_run_is_refused(graph: DependencyGraph) -> None:
    with pytest.raises(ModelError, match=r"^The pruned model cannot run \(.*\), so it is not used"):
        prove(graph, {"0": [0]}, nn.Linear(3, 1), torch.ones(1, 1))


def test_other_shapes_are_refused(graph: DependencyGraph) -> None:
    sentence = r"^The pruned model returns tensors of shapes \[\(1, 2\)\], but the masked one of shapes"
    with pytest.raises(ModelError, match=sentence):
        prove(graph, {"0": [0]}, nn.Linear(1, 2), torch.ones(1, 1))


@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=5), st.floats(0, 1, width=32))
def test_differences_are_the_largest(numbers: list[float], change: float) -> None:
    first = torch.tensor(numbers, dtype=torch.float64)
    second = first.clone()
    second[-1] += change
    proof = compare([first, torch.zeros(0)], [second, torch.zeros(0)])
    expected = float((second[-1] - first[-1]).abs())
    assert proof.max_abs_diff == expected
    if expected and float(first.abs().max()):
        assert proof.max_rel_diff == pytest.approx(expected / float(first.abs().max()))
    assert proof.holds == (expected <= 1e-5 * float(first.abs().max()))


def test_not_a_number_never_holds() -> None:
    assert not compare([torch.tensor([math.nan])], [torch.tensor([math.nan])]).holds
    assert not compare([torch.tensor([0.0])], [torch.tensor([1e-9])]).holds
