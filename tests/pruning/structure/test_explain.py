"""Explanations: their lines, worked by hand."""

import torch
from torch import Tensor

from course_lib.pruning.structure.dependency import DependencyGraph
from tests.pruning.structure.networks import Net, conv, networks, shuffle

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


def test_channels_that_no_layer_reads_are_said_to_be_so() -> None:
    net = Net(lambda net, x: net.b(x).view(net.a(x).shape[0], -1), a=conv(4, 6), b=conv(4, 3))
    assert DependencyGraph(net, EXAMPLE).explain("a") == (
        "The output channels of 'a' cannot be removed: no convolution or linear layer reads them."
    )


def test_shuffles_leave_no_two_channels_that_are_tied_alike() -> None:
    """As in the last units of a stage of ShuffleNet v2: what stays is tied to what each unit makes.

    The stem's shuffle ties its channels 0–2 and 1–3. The second pair is read by the unit; the first one stays
    and is shuffled with both channels that the unit makes.
    """

    def forward(net: Net, x: Tensor) -> Tensor:
        kept, taken = shuffle(net.stem(x)).chunk(2, 1)
        return net.last(shuffle(torch.cat([kept, net.unit(taken)], 1)))

    graph = DependencyGraph(Net(forward, stem=conv(4, 4), unit=conv(2, 2), last=conv(4, 3)), EXAMPLE)
    assert graph.groups == ()
    cuts = [f"the step {step} cuts the channels into parts of equal size" for step in ("view", "view_2")]
    assert graph.explain("stem") == (
        "The output channels of 'stem' cannot be removed: no two that a layer reads are tied and read alike, "
        f"and the only one of its kind must remain; {cuts[0]}; {cuts[1]}."
    )
    assert graph.explain("unit") == (
        "The output channels of 'unit' cannot be removed: all of them go together, and one must remain; "
        f"{cuts[0]}; {cuts[1]}."
    )
