"""The default scheme by hand and in its channels; the checks are tested with the analyses that make them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from course_lib.errors import DataError, ModelError, SettingError, UnknownNameError
from course_lib.quantization.models.layerwise import (
    checked,
    checked_scores,
    nearest_per_channel,
    quantized_weights,
)
from course_lib.training.evaluate import Examples


def test_by_hand():
    # 3 bits: codes -3 to 3; S = 1 in the first row and 2 in the second
    weight = torch.tensor([[3.0, 1.4, -0.6], [-6.0, 2.9, 0.9]])
    assert nearest_per_channel(weight, 3).tolist() == [[3.0, 1.0, -1.0], [-6.0, 2.0, 0.0]]


@given(st.integers(2, 8), st.integers(0, 2**16))
def test_against_torch(bits, seed):
    weight = torch.randn(3, 2, 3, 3, generator=torch.Generator().manual_seed(seed))
    largest = 2 ** (bits - 1) - 1
    scale = weight.flatten(1).abs().amax(1) / largest
    zeros = torch.zeros(3, dtype=torch.int32)
    expected = torch.fake_quantize_per_channel_affine(weight, scale, zeros, 0, -largest, largest)
    assert torch.allclose(nearest_per_channel(weight, bits), expected, rtol=1e-6, atol=0)


def test_weights_of_chosen_layers():
    layers = {"a": nn.Linear(2, 2), "b": nn.Linear(2, 3)}
    weights = quantized_weights(layers, (2, 4), ["b"], lambda weight, bits: weight * bits)
    assert torch.equal(weights["b"][4], layers["b"].weight * 4)
    assert {path: list(row) for path, row in weights.items()} == {"b": [2, 4]}
    assert list(quantized_weights(layers, (2,), None, nearest_per_channel)) == ["a", "b"]


def test_errors():
    layers = {"a": nn.Linear(2, 2)}
    with pytest.raises(UnknownNameError, match="There is no layer called 'b'; the known ones are a"):
        quantized_weights(layers, (2,), ["b"], nearest_per_channel)
    with pytest.raises(SettingError, match="bits is 17, but quantization takes a whole number from 2 to 16"):
        quantized_weights(layers, (17,), None, nearest_per_channel)
    with pytest.raises(DataError, match="hold 2 inputs and 1 labels; expected at least one input"):
        checked(Examples(torch.zeros(2, 1).numpy(), torch.zeros(1).long().numpy()))
    with pytest.raises(ModelError, match=r"output for 2 images is a list; expected one score a class"):
        checked_scores([], 2)
    with pytest.raises(ModelError, match="float model gives scores that are NaN or infinite; look for such"):
        checked_scores(torch.full((2, 3), torch.nan), 2)
    assert checked_scores(torch.full((2, 3), torch.nan), 2, finite=False).shape == (2, 3)
