"""Explanations: their lines, worked by hand."""

import torch

from course_lib.pruning.structure.dependency import DependencyGraph
from tests.pruning.structure.networks import networks

EXAMPLE = torch.zeros(1, 4, 4, 4)


def test_a_group_is_explained_by_its_layers_and_the_steps_that_tie_them() -> None:
    graph = DependencyGraph(networks()["residual"], EXAMPLE)
    assert graph.explain("b").splitlines() == [
        "a: 6 channels, each of which is removed from",
        "  a (Conv2d), which makes them: 1 row",
        "  norm (BatchNorm2d), which has parameters for them: 1 entry",
        "  b (Conv2d), which reads them: 1 column",
        "  b (Conv2d), which makes them: 1 row",
        "  c (Conv2d), which reads them: 1 column",
        "because",
        "  the step add joins tensors number by number (of norm, relu)",
    ]


def test_several_rows_and_columns_are_counted() -> None:
    lines = DependencyGraph(networks()["heads"], EXAMPLE).explain("v").splitlines()
    assert "  v (Linear), which makes them: 2 rows" in lines
    assert "  out (Linear), which reads them: 2 columns" in lines
    assert "  the step matmul works on whole heads (of transpose_1, transpose_4)" in lines


def test_a_parameter_is_called_so() -> None:
    text = DependencyGraph(networks()["scale"], EXAMPLE).explain("0")
    assert "  1.scale (parameter), which has parameters for them: 1 entry" in text


def test_all_groups_of_a_layer_are_explained() -> None:
    text = DependencyGraph(networks()["halves"], EXAMPLE).explain("a")
    assert "a: 4 channels" in text
    assert "a[4:]: 4 channels" in text


def test_a_fixed_layer_is_explained_by_the_way_to_what_fixes_it() -> None:
    text = DependencyGraph(networks()["tokens"], EXAMPLE).explain("second")
    assert text == (
        "The output channels of 'second' cannot be removed: the model returns it as a result of the model."
    )
