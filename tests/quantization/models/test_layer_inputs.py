import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from course_lib.errors import DataError, ModelError
from course_lib.quantization import PerChannel, PerTensor, QParams, choose_qparams
from course_lib.quantization.models import layer_inputs
from course_lib.quantization.models.layer_inputs import (
    grid_matrix,
    input_matrix,
    output_matrix,
    second_moments,
    weight_matrix,
)
from course_lib.reproducibility import seeded_torch, torch_generator

CONV = nn.Conv2d(2, 4, 3)


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch_generator(seed))


@st.composite
def convolutions(draw):
    groups = draw(st.sampled_from([1, 2, 4]))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    same = stride == (1, 1) and draw(st.booleans())
    padding = st.sampled_from(["same", "valid"]) if same else st.tuples(st.integers(0, 3), st.integers(0, 3))
    with seeded_torch(0):
        return nn.Conv2d(
            in_channels=4,
            out_channels=groups * draw(st.integers(1, 3)),
            kernel_size=draw(st.tuples(st.integers(1, 4), st.integers(1, 4))),
            stride=stride,
            padding=draw(padding),
            dilation=draw(st.tuples(st.integers(1, 2), st.integers(1, 2))),
            groups=groups,
            bias=False,
            padding_mode=draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"])),
        )


# Worked by hand


def test_patches_of_a_row_by_hand():
    row = torch.tensor([[[[1.0, 2, 3]]]])
    assert input_matrix(nn.Conv2d(1, 1, (1, 2)), row).tolist() == [[[1, 2], [2, 3]]]
    padded = nn.Conv2d(1, 1, (1, 2), padding=(0, 1))
    assert input_matrix(padded, row).tolist() == [[[0, 1], [1, 2], [2, 3], [3, 0]]]


def test_groups_have_matrices_of_their_own():
    images = torch.tensor([[[[1.0]], [[2]], [[3]], [[4]]], [[[5.0]], [[6]], [[7]], [[8]]]])
    assert input_matrix(nn.Conv2d(4, 2, 1, groups=2), images).tolist() == [[[1, 2], [5, 6]], [[3, 4], [7, 8]]]
    assert input_matrix(nn.Conv2d(4, 4, 1, groups=4), images)[2].tolist() == [[3], [7]]


def test_moments_by_hand():
    x, y = torch.tensor([[[1.0, 2], [3, 4]]]), torch.tensor([[[1.0], [5]]])
    assert second_moments(x, x).tolist() == [[[5, 7], [7, 10]]]
    assert second_moments(x, y).tolist() == [[[8], [11]]]


# Properties and oracles


@given(convolutions())
def test_a_convolution_is_the_product_of_its_matrices(layer):
    images = random(2, 4, 8, 9)
    expected = layer(images)
    x = input_matrix(layer, images)
    outputs = x @ weight_matrix(layer).mT  # (groups, rows, out_channels / groups)
    assert torch.allclose(outputs, output_matrix(layer, images, expected), atol=1e-5)
    rows = expected.movedim(1, -1).reshape(-1, layer.out_channels)
    assert torch.allclose(outputs.transpose(0, 1).flatten(1), rows, atol=1e-5)


@pytest.mark.parametrize("leading", [(), (5,), (2, 3), (2, 3, 4)])
def test_a_linear_layer_is_the_product_of_its_matrices(leading):
    layer, inputs = nn.Linear(6, 3, bias=False), random(*leading, 6)
    expected = layer(inputs)
    outputs = input_matrix(layer, inputs) @ weight_matrix(layer).mT
    assert torch.allclose(outputs, expected.reshape(1, -1, 3), atol=1e-6)
    assert torch.allclose(outputs, output_matrix(layer, inputs, expected), atol=1e-6)


@pytest.mark.parametrize("layer", [CONV, nn.Linear(5, 4)])
def test_too_many_rows_are_drawn_from_the_same_for_inputs_and_outputs(monkeypatch, layer):
    inputs = random(10, 2, 6, 5)
    everything, outputs = input_matrix(layer, inputs)[0], layer(inputs).detach()
    width = everything.shape[1]
    monkeypatch.setattr(layer_inputs, "MAX_VALUES", 7 * width + 1)
    drawn = input_matrix(layer, inputs, seed=1)[0]
    assert drawn.shape == (7, width)
    positions = [int((everything == row).all(dim=1).nonzero()) for row in drawn]
    assert positions == sorted(set(positions))
    assert torch.equal(drawn, input_matrix(layer, inputs, seed=1)[0])
    assert not torch.equal(drawn, input_matrix(layer, inputs, seed=2)[0])
    wanted = output_matrix(layer, inputs, outputs, seed=1)[0] - layer.bias
    assert torch.allclose(drawn @ weight_matrix(layer)[0].T, wanted, atol=1e-5)


def test_moments_are_those_of_numpy_over_many_rows():
    x, y = random(2, 9001, 3), random(2, 9001, 4, seed=1)
    for group in range(2):
        expected = torch.from_numpy(x[group].double().numpy().T @ y[group].double().numpy()) / 9001
        assert torch.allclose(second_moments(x, y)[group], expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("granularity", [PerTensor(), PerChannel(0), PerChannel(1)])
def test_each_weight_has_its_scale(granularity):
    layer = nn.Conv2d(4, 6, 3, groups=2)
    qparams = choose_qparams(layer.weight, 4, symmetric=False, granularity=granularity)
    grid = grid_matrix(layer, qparams)
    assert grid.scale.shape == grid.zero_point.shape == weight_matrix(layer).shape == (2, 3, 18)
    assert torch.equal(grid.scale.reshape(6, 2, 3, 3), qparams.scale.expand(6, 2, 3, 3))
    assert (grid.quant_min, grid.quant_max) == (0, 15)


# Errors

REFUSED = [
    (
        random(3, 5, 8, 8),
        "The inputs have shape (3, 5, 8, 8), but Conv2d(2, 4, kernel_size=(3, 3), stride=(1, 1)) takes "
        "(N, 2, H, W); pass the inputs that the layer sees in its model.",
    ),
    (
        random(2, 8, 8),
        "The inputs have shape (2, 8, 8), but Conv2d(2, 4, kernel_size=(3, 3), stride=(1, 1)) takes "
        "(N, 2, H, W); pass the inputs that the layer sees in its model.",
    ),
    (
        random(0, 2, 8, 8),
        "The inputs have shape (0, 2, 8, 8), which holds no numbers, but the weights of Conv2d(2, 4, "
        "kernel_size=(3, 3), stride=(1, 1)) are judged by what they are multiplied with; pass the inputs "
        "of a few hundred images.",
    ),
    (
        random(3, 2, 8, 2),
        "The inputs have shape (3, 2, 8, 2), which is smaller than the kernel of Conv2d(2, 4, "
        "kernel_size=(3, 3), stride=(1, 1)); pass the inputs that the layer sees in its model.",
    ),
    (
        torch.full((1, 2, 8, 8), torch.nan),
        "The inputs of Conv2d(2, 4, kernel_size=(3, 3), stride=(1, 1)) hold NaN or infinite values, which "
        "say nothing about its weights; find the images or the layer that they come from with "
        "torch.isfinite.",
    ),
]


@pytest.mark.parametrize(("inputs", "message"), REFUSED)
def test_unusable_inputs_are_refused(inputs, message):
    with pytest.raises(DataError) as error:
        input_matrix(CONV, inputs)
    assert str(error.value) == message


def test_unusable_inputs_of_a_linear_layer_are_refused():
    with pytest.raises(DataError) as error:
        input_matrix(nn.Linear(3, 2), torch.ones(4, 2))
    assert str(error.value) == (
        "The inputs have shape (4, 2), but Linear(in_features=3, out_features=2, bias=True) takes (…, 3); "
        "pass the inputs that the layer sees in its model."
    )
    with pytest.raises(DataError, match=r"shape \(0, 3\), which holds no numbers"):
        input_matrix(nn.Linear(3, 2), torch.ones(0, 3))


def test_unusable_targets_are_refused():
    layer = nn.Linear(3, 2)
    with pytest.raises(DataError) as error:
        output_matrix(layer, torch.ones(4, 3), torch.ones(4, 3))
    assert str(error.value) == (
        "The targets have shape (4, 3), but Linear(in_features=3, out_features=2, bias=True) gives (4, 2) "
        "for these inputs; pass what the float layer gives for the same images."
    )
    with pytest.raises(DataError, match=r"^The targets of Linear"):
        output_matrix(layer, torch.ones(4, 3), torch.full((4, 2), torch.inf))


def test_unusable_weights_are_refused():
    layer = nn.Linear(2, 1)
    nn.init.constant_(layer.weight, torch.inf)
    with pytest.raises(ModelError) as error:
        weight_matrix(layer)
    assert str(error.value) == (
        "The weights of Linear(in_features=2, out_features=1, bias=True) hold NaN or infinite values, which "
        "no grid can stand for; load them again, or repair them with torch.nan_to_num."
    )


def test_a_grid_of_another_shape_is_refused():
    qparams = QParams(torch.ones(3, 1), torch.zeros(3, 1, dtype=torch.int32), -7, 7)
    with pytest.raises(ModelError) as error:
        grid_matrix(nn.Linear(5, 4), qparams)
    assert str(error.value) == (
        "A grid of shape (3, 1) does not fit weights of shape (4, 5); make it with "
        "choose_qparams(layer.weight, ...)."
    )
