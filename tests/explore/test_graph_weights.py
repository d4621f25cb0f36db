"""From layers of the dependency graph to tensors of the file."""

import numpy as np
import pytest
import torch
from torch import nn

from course_lib.errors import ModelError
from course_lib.explore.graph_weights import weight_classes
from course_lib.pruning.structure.dependency import DependencyGraph
from course_lib.pruning.structure.labels import FIXED


def test_rows_columns_and_norms_by_hand() -> None:
    model = nn.Sequential(nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 2)).eval()
    graph = DependencyGraph(model, torch.zeros(1, 1, 2, 2))
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = weight_classes(graph, shapes)
    first, second, third = graph.classes.members["0"].tolist()
    kept = int(graph.classes.of[FIXED])
    assert found.of["0.weight"][0].tolist() == [first, second, third]
    assert found.of["0.weight"][1].tolist() == [kept]
    for name in ("0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"):
        assert found.of[name][0].tolist() == [first, second, third]
    assert found.of["3.weight"][1].tolist() == [first] * 4 + [second] * 4 + [third] * 4
    assert found.of["3.weight"][0].tolist() == [kept, kept]
    assert (found.reads, found.missing) == ({"0.weight": 1, "3.weight": 1}, set())


def test_query_key_and_value_are_below_each_other() -> None:
    class Attend(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(6, 3, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.attention(x, x, x, need_weights=False)[0]  # type: ignore[no-any-return]

    graph = DependencyGraph(Attend().eval(), torch.zeros(1, 4, 6))
    shapes = {name: tuple(tensor.shape) for name, tensor in Attend().state_dict().items()}
    found = weight_classes(graph, shapes)
    (members,) = graph.classes.members.values()
    heads = np.repeat(members, 2).tolist()
    assert found.of["attention.in_proj_weight"][0].tolist() == heads * 3
    assert found.of["attention.out_proj.weight"][1].tolist() == heads
    assert found.missing == set()
    del shapes["attention.in_proj_weight"]
    assert weight_classes(graph, shapes).missing == set(members.tolist())


def test_another_shape_is_refused() -> None:
    graph = DependencyGraph(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)), torch.zeros(1, 4))
    with pytest.raises(ModelError, match=r"'0.weight' in shape \(5, 4\), where axis 0 of the model's has 3"):
        weight_classes(graph, {"0.weight": (5, 4)})
