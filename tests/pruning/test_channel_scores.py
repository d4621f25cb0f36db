"""Sums by row, by column and by channel, also through the groups of a convolution."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from course_lib.errors import ModelError
from course_lib.pruning.channel_scores import (
    by_channel,
    by_position,
    input_by_position,
    layers_of,
    readers_of,
)
from course_lib.pruning.structure.group import Slices


def test_the_worked_example():
    weight = torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8]])
    layer = nn.Linear(4, 2)
    positions = by_position(weight, layer, "in")
    assert positions.tolist() == [6, 8, 10, 12]
    assert by_channel(positions, ((0, 1), (2, 3))).tolist() == [14, 22]
    assert by_position(weight, layer, "out").tolist() == [10, 26]


def test_columns_of_a_grouped_convolution_count_through_its_groups():
    layer = nn.Conv2d(4, 2, 1, groups=2, bias=False)  # outputs 0 and 1 read inputs 0, 1 and 2, 3
    values = torch.tensor([[1.0, 2.0], [30.0, 40.0]])[:, :, None, None]
    assert by_position(values, layer, "in").tolist() == [1, 2, 30, 40]
    assert by_position(values, layer, "out").tolist() == [3, 70]


@given(st.sampled_from([1, 2, 3, 6]), st.integers(1, 3), st.integers(1, 3))
def test_zeroing_what_a_column_sum_covers_silences_that_input(groups, outputs, inputs):
    """The entries that a column's sum is made of are those whose zeroing makes the input irrelevant."""
    layer = nn.Conv2d(groups * inputs, groups * outputs, 3, groups=groups, bias=False)
    channel = groups * inputs - 1
    weight = torch.zeros_like(layer.weight).requires_grad_()
    (gradient,) = torch.autograd.grad(by_position(weight, layer, "in")[channel], weight)
    layer.weight.data[gradient != 0] = 0
    x = torch.randn(1, groups * inputs, 3, 3)
    other = x.clone()
    other[:, channel] += 1
    assert torch.equal(layer(x), layer(other))
    assert int((gradient != 0).sum()) == outputs * 9


@given(st.lists(st.lists(st.integers(0, 5), max_size=4, unique=True), min_size=1, max_size=5))
def test_channel_sums_are_those_of_a_loop(indices):
    positions = torch.arange(12.0).reshape(2, 6) ** 2
    expected = torch.stack([positions[:, own].sum(1) for own in indices], 1)
    assert torch.equal(by_channel(positions, indices), expected)


def test_inputs_are_summed_over_pixels_and_tokens():
    pictures = torch.arange(8.0).reshape(1, 2, 2, 2)
    assert input_by_position(pictures, nn.Conv2d(2, 1, 1)).tolist() == [[6, 22]]
    tokens = torch.arange(8.0).reshape(1, 4, 2)
    assert input_by_position(tokens, nn.Linear(2, 1)).tolist() == [[12, 16]]
    assert input_by_position(torch.tensor([[1.0, 2.0]]), nn.Linear(2, 1)).tolist() == [[1, 2]]


class Scaled(nn.Module):
    """A layer and a bare parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.LSTM(2, 2)
        self.scale = nn.Parameter(torch.ones(2))


def test_parameters_are_left_out_and_other_readers_refused():
    slices = (Slices("scale", "pass", ((0,), (1,))), Slices("layer", "in", ((0,), (1,))))
    net = Scaled()
    assert layers_of(net, slices) == [(slices[1], net.layer)]
    with pytest.raises(ModelError) as error:
        readers_of(net, slices)
    assert str(error.value) == (
        "The channels are read by 'layer', a LSTM, whose input cannot be split into channels here; use an "
        "importance of weights, such as l1_norm(graph)."
    )
