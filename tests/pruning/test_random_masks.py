"""Random masks: as many zeros as asked for, equally likely everywhere, repeatable."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch.nn.utils import prune

from course_lib.errors import SettingError
from course_lib.pruning import magnitude_masks, random_masks


def test_each_pair_of_four_is_as_likely_as_any_other():
    weight = {"w": np.asarray([3.0, -1.0, 2.0, -4.0])}
    seen = Counter(tuple(random_masks(weight, 0.5, seed=seed)["w"].tolist()) for seed in range(1200))
    assert len(seen) == 6
    assert all(sum(mask) == 2 for mask in seen)
    # The seeds are fixed, so this is always the same number; 0.001 is what chance would not reach.
    assert chisquare(list(seen.values())).pvalue > 0.001


@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True), st.integers(0, 2**32 - 1))
def test_counts_are_those_of_magnitude_and_masks_are_nested(one, other, seed):
    weights = {"a": np.arange(12.0).reshape(3, 4), "b": np.zeros(7)}
    lower, higher = (random_masks(weights, s, seed=seed) for s in sorted((one, other)))
    pruned = sum(int((~mask).sum()) for mask in lower.values())
    assert pruned == sum(int((~mask).sum()) for mask in magnitude_masks(weights, min(one, other)).values())
    for name, weight in weights.items():
        assert lower[name].shape == weight.shape
        assert (lower[name] | ~higher[name]).all()


def test_local_takes_the_same_from_each():
    masks = random_masks({"a": np.ones(10), "b": np.ones((2, 10))}, 0.3, seed=1, scope="local")
    assert [int((~mask).sum()) for mask in masks.values()] == [3, 6]


def test_numpy_and_torch_agree_and_the_seed_decides():
    weights = {"a": np.ones((3, 4), np.float32), "b": np.ones(9, np.float32)}
    tensors = {name: torch.from_numpy(weight) for name, weight in weights.items()}
    masks = random_masks(weights, 0.5, seed=3)
    for name, mask in random_masks(tensors, 0.5, seed=3).items():
        assert mask.dtype == torch.bool
        assert (mask.numpy() == masks[name]).all()
    other = random_masks(weights, 0.5, seed=4)
    assert any((masks[name] != other[name]).any() for name in weights)


def test_the_count_is_that_of_torch():
    layer = torch.nn.Linear(7, 9)
    ours = random_masks({"w": layer.weight}, 0.4, seed=0)["w"]
    prune.random_unstructured(layer, "weight", amount=0.4)
    assert int(ours.sum()) == int(layer.weight_mask.sum())


def test_a_sparsity_out_of_range_is_refused():
    with pytest.raises(SettingError, match=r"^sparsity is 1, but it is the fraction of weights to prune"):
        random_masks({"w": np.ones(3)}, 1, seed=0)
