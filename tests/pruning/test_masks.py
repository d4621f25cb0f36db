import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from torch.nn.utils import prune

from course_lib.errors import ModelError, SettingError, UnknownNameError
from course_lib.pruning import (
    apply_mask,
    magnitude_mask,
    magnitude_masks,
    masks_by_importance,
    sparsity_of,
    threshold_masks,
)

sparsities = st.floats(0, 1, exclude_max=True)
# few different values, so that ties are common
tensors = arrays(
    np.float32,
    array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=6),
    elements=st.sampled_from([-2.0, -1.0, -0.0, 0.0, 0.5, 1.0, 3.0]),
)
models = st.dictionaries(st.sampled_from("abcd"), tensors, min_size=1)


def layers(seed):
    """Three torch layers with different spreads of weights."""
    torch.manual_seed(seed)
    return [torch.nn.Conv2d(3, 8, 3), torch.nn.Conv2d(8, 8, 3, groups=8), torch.nn.Linear(72, 10)]


# Worked by hand


def test_one_tensor_by_hand():
    weight = np.asarray([3.0, -1.0, 2.0, -4.0], np.float32)
    mask = magnitude_mask(weight, 0.5)
    assert mask.tolist() == [True, False, False, True]
    assert apply_mask(weight, mask).tolist() == [3.0, 0.0, 0.0, -4.0]


def test_the_ranking_is_global():
    weights = {"large": np.asarray([[5.0, -6.0], [7.0, 0.3]]), "small": np.asarray([0.1, -0.2, 0.4, 9.0])}
    masks = magnitude_masks(weights, 0.5)
    assert masks["large"].tolist() == [[True, True], [True, False]]
    assert masks["small"].tolist() == [False, False, False, True]


def test_a_local_ranking_takes_the_same_from_each():
    weights = {"large": np.asarray([[5.0, -6.0], [7.0, 0.3]]), "small": np.asarray([0.1, -0.2, 0.4, 9.0])}
    masks = magnitude_masks(weights, 0.5, scope="local")
    assert masks["large"].tolist() == [[False, True], [True, False]]
    assert masks["small"].tolist() == [False, False, True, True]


def test_a_threshold_by_hand():
    masks = threshold_masks({"w": np.asarray([3.0, -1.0, 2.0, -4.0]), "v": np.asarray([[1.5]])}, 2)
    assert masks["w"].tolist() == [True, False, True, True]
    assert masks["v"].tolist() == [[False]]


def test_any_importance_can_be_ranked():
    masks = masks_by_importance({"a": np.asarray([-1.0, 2.0]), "b": np.asarray([-3.0, 0.0])}, 0.5)
    assert masks["a"].tolist() == [False, True]
    assert masks["b"].tolist() == [False, True]


def test_equal_weights_go_in_order_of_position():
    assert magnitude_mask(np.asarray([1.0, -1.0, 1.0, 1.0]), 0.5).tolist() == [False, False, True, True]
    masks = magnitude_masks({"b": np.ones(2), "a": np.ones(2)}, 0.75)
    assert masks["b"].tolist() == [False, False]
    assert masks["a"].tolist() == [False, True]


def test_the_count_is_rounded():
    weight = np.arange(1.0, 11.0)
    assert [int((~magnitude_mask(weight, s)).sum()) for s in (0, 0.04, 0.06, 0.25, 0.35, 0.99)] == [
        0,
        0,
        1,
        2,
        4,
        10,
    ]


def test_sparsity_by_hand():
    assert sparsity_of(np.asarray([0.0, -0.0, 2.0, 3.0])) == 0.5
    assert sparsity_of(np.asarray([True, False, True, True])) == 0.25
    assert sparsity_of(torch.tensor([[0.0, 1.0], [0.0, 0.0]])) == 0.75
    assert sparsity_of(np.zeros(0)) == 0.0


# Properties


@given(models, sparsities)
def test_exactly_the_rounded_fraction_is_pruned(weights, sparsity):
    masks = magnitude_masks(weights, sparsity)
    assert list(masks) == list(weights)
    assert all(masks[name].shape == weight.shape for name, weight in weights.items())
    assert all(mask.dtype == bool for mask in masks.values())
    count = sum(weight.size for weight in weights.values())
    assert sum(int((~mask).sum()) for mask in masks.values()) == round(sparsity * count)


@given(models, sparsities)
def test_no_pruned_weight_is_larger_than_a_kept_one(weights, sparsity):
    masks = magnitude_masks(weights, sparsity)
    pruned = np.concatenate([np.abs(w[~masks[name]]) for name, w in weights.items()])
    kept = np.concatenate([np.abs(w[masks[name]]) for name, w in weights.items()])
    assert pruned.max(initial=0) <= kept.min(initial=np.inf)


@given(models, sparsities, sparsities)
def test_masks_are_nested(weights, one, other):
    lower, higher = magnitude_masks(weights, min(one, other)), magnitude_masks(weights, max(one, other))
    for name in weights:
        assert (lower[name] | ~higher[name]).all()


@given(models, sparsities)
def test_the_masks_are_those_of_a_stable_sort(weights, sparsity):
    magnitudes = np.concatenate([np.abs(w).reshape(-1) for w in weights.values()])
    keep = np.ones(magnitudes.size, bool)
    keep[np.argsort(magnitudes, kind="stable")[: round(sparsity * magnitudes.size)]] = False
    masks = magnitude_masks(weights, sparsity)
    assert (np.concatenate([mask.reshape(-1) for mask in masks.values()]) == keep).all()


@given(models, sparsities)
def test_numpy_and_torch_agree(weights, sparsity):
    masks = magnitude_masks(weights, sparsity)
    torch_masks = magnitude_masks({name: torch.from_numpy(w) for name, w in weights.items()}, sparsity)
    for name, weight in weights.items():
        assert torch_masks[name].dtype == torch.bool
        assert (torch_masks[name].numpy() == masks[name]).all()
        pruned = apply_mask(torch.from_numpy(weight), torch_masks[name])
        assert (pruned.numpy() == apply_mask(weight, masks[name])).all()


@given(tensors, sparsities)
def test_applying_a_mask_zeroes_what_it_prunes_and_changes_nothing_else(weight, sparsity):
    mask = magnitude_mask(weight, sparsity)
    pruned = apply_mask(weight, mask)
    assert pruned.dtype == weight.dtype
    assert (pruned[mask] == weight[mask]).all()
    assert (pruned == weight * mask).all()
    assert not np.signbit(pruned[~mask]).any()
    assert sparsity_of(pruned) >= sparsity_of(mask)


@given(models, sparsities)
def test_a_local_mask_is_that_of_the_tensor_alone(weights, sparsity):
    masks = magnitude_masks(weights, sparsity, scope="local")
    for name, weight in weights.items():
        assert (masks[name] == magnitude_mask(weight, sparsity)).all()
        tensor = {name: torch.from_numpy(weight)}
        assert (magnitude_masks(tensor, sparsity, scope="local")[name].numpy() == masks[name]).all()


@given(models, st.floats(0, 4))
def test_a_threshold_keeps_what_is_not_below_it(weights, threshold):
    masks = threshold_masks(weights, threshold)
    for name, weight in weights.items():
        assert masks[name].shape == weight.shape
        assert (masks[name] == (np.abs(weight) >= threshold)).all()
        assert (threshold_masks({"": torch.from_numpy(weight)}, threshold)[""].numpy() == masks[name]).all()


def test_no_weights_have_no_masks():
    assert magnitude_masks({}, 0.5) == {}
    assert magnitude_masks({}, 0.5, scope="local") == {}
    assert threshold_masks({}, 0.5) == {}


def test_masks_of_zeros_and_ones_apply_too():
    weight = torch.tensor([1.0, -2.0])
    assert apply_mask(weight, torch.tensor([1.0, 0.0])).tolist() == [1.0, 0.0]


def test_gradients_reach_the_kept_weights_only():
    weight = torch.nn.Parameter(torch.tensor([3.0, 0.1]))
    mask = magnitude_mask(weight, 0.5)
    assert not mask.requires_grad
    apply_mask(weight, mask).sum().backward()
    assert weight.grad.tolist() == [1.0, 0.0]


# Independent oracle


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.9, 0.99])
def test_the_global_masks_are_those_of_torch(sparsity):
    modules = layers(seed=int(100 * sparsity))
    ours = magnitude_masks({str(i): m.weight for i, m in enumerate(modules)}, sparsity)
    prune.global_unstructured(
        [(module, "weight") for module in modules], pruning_method=prune.L1Unstructured, amount=sparsity
    )
    for i, module in enumerate(modules):
        assert torch.equal(ours[str(i)], module.weight_mask.bool())
        assert torch.equal(apply_mask(module.weight_orig, ours[str(i)]), module.weight)


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.9])
def test_the_local_masks_are_those_of_torch(sparsity):
    for module in layers(seed=1):
        ours = magnitude_mask(module.weight, sparsity)
        prune.l1_unstructured(module, "weight", amount=sparsity)
        assert torch.equal(ours, module.weight_mask.bool())


# Errors


@pytest.mark.parametrize("sparsity", [1, 1.5, -0.1, float("nan")])
def test_a_sparsity_out_of_range_is_refused(sparsity):
    with pytest.raises(SettingError) as error:
        magnitude_mask(np.ones(3), sparsity)
    assert str(error.value) == (
        f"sparsity is {sparsity}, but it is the fraction of weights to prune, from 0 up to but not including "
        "1; try sparsity=0.5."
    )


@pytest.mark.parametrize("threshold", [-0.1, float("inf"), float("nan")])
def test_a_threshold_out_of_range_is_refused(threshold):
    with pytest.raises(SettingError) as error:
        threshold_masks({"w": np.ones(3)}, threshold)
    assert str(error.value) == (
        f"threshold is {threshold}, but magnitudes are compared with it; pass a number of at least 0."
    )


def test_an_unknown_scope_lists_the_known():
    with pytest.raises(UnknownNameError) as error:
        magnitude_masks({"w": np.ones(3)}, 0.5, scope="locale")
    assert str(error.value) == (
        "There is no scope called 'locale'; the known ones are global, local. Did you mean 'local'?"
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("sparsity", [0.0, 0.5])
@pytest.mark.parametrize("as_array", [np.asarray, torch.tensor])
def test_weights_that_are_not_finite_are_refused(bad, sparsity, as_array):
    weights = {"conv.weight": as_array([1.0, 2.0]), "head.weight": as_array([[0.5], [bad]])}
    with pytest.raises(ModelError) as error:
        magnitude_masks(weights, sparsity)
    with pytest.raises(ModelError, match=r"'head\.weight' holds NaN"):
        threshold_masks(weights, 0.5)
    assert str(error.value) == (
        "The tensor 'head.weight' holds NaN or infinite weights, which have no place in a ranking by "
        "magnitude; repair it first, for example with torch.nan_to_num or numpy.nan_to_num."
    )


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ModelError) as error:
        apply_mask(np.ones((2, 3)), np.ones(3, bool))
    assert str(error.value) == (
        "A mask of shape (3,) does not fit a weight of shape (2, 3); make one with magnitude_mask(weight, "
        "sparsity)."
    )


def test_pruning_numpy_arrays_never_imports_torch():
    program = (
        "import sys, numpy as np\n"
        "from course_lib.pruning import *\n"
        "weight = np.arange(6.0)\n"
        "sparsity_of(apply_mask(weight, magnitude_mask(weight, 0.5)))\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
