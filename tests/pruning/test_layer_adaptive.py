import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from course_lib.errors import ModelError, SettingError
from course_lib.pruning import layer_adaptive_masks, magnitude_mask, magnitude_masks, sparsity_of
from course_lib.pruning.layer_adaptive import layer_adaptive_scores

sparsities = st.floats(0, 1, exclude_max=True)
tensors = arrays(
    np.float64,
    array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5),
    elements=st.sampled_from([-3.0, -1.5, 0.0, 0.25, 0.5, 1.0, 2.0, 4.0]),
)
models = st.dictionaries(st.sampled_from("abcd"), tensors, min_size=1)


def equation_3(weight):
    """The paper's score word by word: one weight after another, from the smallest one on."""
    order = np.argsort(np.abs(weight), axis=None, kind="stable")
    flat, scores = weight.reshape(-1), np.zeros(weight.size)
    for place, position in enumerate(order):
        remaining = sum(flat[other] ** 2 for other in order[place:])
        scores[position] = flat[position] ** 2 / remaining if remaining else 0.0
    return scores.reshape(weight.shape)


def test_scores_by_hand():
    scores = layer_adaptive_scores({"w": np.asarray([3.0, -1.0, 2.0]), "v": np.asarray([[0.03], [-0.01]])})
    np.testing.assert_allclose(scores["w"], [1, 1 / 14, 4 / 13])
    np.testing.assert_allclose(scores["v"], [[1], [1 / 10]])


def test_a_layer_of_small_weights_keeps_what_matters_to_it():
    weights = {"large": np.asarray([5.0, -4.0, 3.0, 4.0]), "small": np.asarray([0.1, 0.01, -0.2, 0.01])}
    masks = layer_adaptive_masks(weights, 0.5)
    assert masks["large"].tolist() == [True, True, False, True]
    assert masks["small"].tolist() == [False, False, True, False]
    assert magnitude_masks(weights, 0.5)["small"].tolist() == [False] * 4


@given(models, sparsities, st.floats(1e-6, 1e6))
def test_scaling_a_layer_changes_nothing(weights, sparsity, factor):
    first = next(iter(weights))
    # A power of two, which no rounding touches.
    scaled = {**weights, first: weights[first] * 2.0 ** round(np.log2(factor))}
    masks, after = layer_adaptive_masks(weights, sparsity), layer_adaptive_masks(scaled, sparsity)
    assert all((masks[name] == after[name]).all() for name in weights)


@given(models, sparsities, sparsities)
def test_masks_are_nested_and_as_sparse_as_asked(weights, one, other):
    count = sum(weight.size for weight in weights.values())
    lower, higher = (layer_adaptive_masks(weights, each) for each in sorted((one, other)))
    assert sum(int((~mask).sum()) for mask in lower.values()) == round(min(one, other) * count)
    assert all((lower[name] | ~higher[name]).all() for name in weights)


@given(tensors, sparsities)
def test_within_one_layer_the_order_is_that_of_the_magnitudes(weight, sparsity):
    assert (layer_adaptive_masks({"w": weight}, sparsity)["w"] == magnitude_mask(weight, sparsity)).all()


@given(models)
def test_the_scores_are_those_of_the_paper(weights):
    for name, scores in layer_adaptive_scores(weights).items():
        np.testing.assert_allclose(scores, equation_3(weights[name]), rtol=1e-12)


@given(models, sparsities)
def test_numpy_and_torch_agree(weights, sparsity):
    masks = layer_adaptive_masks(weights, sparsity)
    torch_masks = layer_adaptive_masks({name: torch.from_numpy(w) for name, w in weights.items()}, sparsity)
    assert all((torch_masks[name].numpy() == masks[name]).all() for name in weights)


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_squares_that_no_float_holds_are_ranked_all_the_same(size):
    weight = np.asarray([3.0, -1.0, 2.0], np.float32) * np.float32(size)
    np.testing.assert_allclose(layer_adaptive_scores({"w": weight})["w"], [1, 1 / 14, 4 / 13], rtol=1e-5)


def test_pruned_layers_stay_pruned():
    weights = {"gone": np.zeros(3), "rest": np.asarray([1.0, 2.0, 3.0])}
    assert layer_adaptive_masks(weights, 0.5)["gone"].tolist() == [False] * 3
    assert sparsity_of(layer_adaptive_masks(weights, 0.5)["rest"]) == 0


def test_what_is_said_of_wrong_input():
    with pytest.raises(SettingError, match="sparsity is 1, but it is the fraction of weights to prune"):
        layer_adaptive_masks({"w": np.ones(2)}, 1)
    with pytest.raises(ModelError, match="The tensor 'w' holds NaN or infinite weights"):
        layer_adaptive_masks({"w": np.asarray([np.nan])}, 0.5)
