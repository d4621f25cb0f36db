"""N:M masks: the largest of each block stay, along the input axis, and nothing else is claimed to fit."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.ao.pruning import WeightNormSparsifier

from course_lib.errors import ModelError, SettingError, UnknownNameError
from course_lib.pruning import is_n_m, n_m_mask, n_m_masks, sparsity_of

patterns = st.integers(1, 6).flatmap(lambda m: st.tuples(st.integers(1, m), st.just(m)))
few_values = st.sampled_from([-2.0, -1.0, -0.0, 0.0, 0.5, 1.0, 3.0])


@st.composite
def blocked(draw):
    """A pattern, and a weight of two to four axes whose input axis it divides."""
    n, m = draw(patterns)
    shape = (draw(st.integers(1, 4)), m * draw(st.integers(1, 3)), *draw(st.sampled_from([(), (2,), (2, 3)])))
    return n, m, draw(arrays(np.float32, shape, elements=few_values))


def test_two_of_four_by_hand():
    weight = np.asarray([[1.0, -5.0, 2.0, 3.0, 0.0, 0.0, 7.0, 1.0]])
    assert n_m_mask(weight).tolist() == [[False, True, False, True, False, False, True, True]]
    assert n_m_mask(weight, 1, 2).tolist() == [[False, True, False, True, False, True, True, False]]


def test_of_equal_weights_the_earlier_go_first():
    assert n_m_mask(np.ones((1, 4))).tolist() == [[False, False, True, True]]


def test_blocks_of_a_convolution_run_along_its_input_channels():
    weight = np.zeros((1, 4, 1, 2))
    weight[0, :, 0, 0] = [4, 3, 2, 1]
    weight[0, :, 0, 1] = [1, 2, 3, 4]
    mask = n_m_mask(weight)
    assert mask[0, :, 0, 0].tolist() == [True, True, False, False]
    assert mask[0, :, 0, 1].tolist() == [False, False, True, True]


@given(blocked())
def test_exactly_n_of_each_block_stay_and_they_are_the_largest(case):
    n, m, weight = case
    mask = n_m_mask(weight, n, m)
    assert mask.shape == weight.shape
    assert is_n_m(mask, n, m)
    assert is_n_m(np.where(mask, weight, 0), n, m)
    assert np.isclose(sparsity_of(mask), 1 - n / m)
    blocks = np.moveaxis(weight, 1, -1).reshape(-1, m)
    for block, kept in zip(np.abs(blocks), np.moveaxis(mask, 1, -1).reshape(-1, m), strict=True):
        assert kept.sum() == n
        assert block[~kept].max(initial=0) <= block[kept].min()


@given(blocked())
def test_numpy_and_torch_agree(case):
    n, m, weight = case
    mask = n_m_mask(torch.from_numpy(weight), n, m)
    assert (mask.numpy() == n_m_mask(weight, n, m)).all()
    assert is_n_m(mask, n, m)


def test_one_more_is_noticed():
    weight = np.asarray([[0.0, 1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 5.0]])
    assert is_n_m(weight)
    weight[0, 0] = 0.1
    assert not is_n_m(weight)
    assert is_n_m(weight, 3, 4)
    # Three values in a row are allowed across the border of two blocks.
    assert is_n_m(np.asarray([[0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]]))


def test_a_size_that_the_blocks_do_not_fill_does_not_follow_the_pattern():
    assert not is_n_m(np.zeros((2, 6)))


@pytest.mark.parametrize("shape", [(8, 16), (4, 8)])
def test_the_masks_are_those_of_torchs_sparsifier(shape):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(shape[1], shape[0]))
    expected = n_m_mask(model[0].weight.detach())
    sparsifier = WeightNormSparsifier(sparsity_level=1.0, sparse_block_shape=(1, 4), zeros_per_block=2)
    sparsifier.prepare(model, [{"tensor_fqn": "0.weight"}])
    sparsifier.step()
    sparsifier.squash_mask()
    assert torch.equal(model[0].weight != 0, expected)


def test_indivisible_tensors_are_refused_or_kept():
    weights = {"stem": np.ones((2, 3, 3, 3)), "body": np.ones((2, 8))}
    with pytest.raises(ModelError) as error:
        n_m_masks(weights)
    assert str(error.value) == (
        "The tensor 'stem' has 3 inputs, which blocks of 4 do not fill; leave it out, or keep it dense with "
        "indivisible='keep'."
    )
    masks = n_m_masks(weights, indivisible="keep")
    assert masks["stem"].all()
    assert sparsity_of(masks["body"]) == 0.5


@pytest.mark.parametrize(("n", "m"), [(0, 4), (5, 4), (-1, 2)])
def test_a_pattern_that_is_none_is_refused(n, m):
    message = f"The pattern {n}:{m} is none: it keeps n of every m weights, 1 ≤ n ≤ m; try n=2, m=4."
    for ask in (n_m_mask, is_n_m):
        with pytest.raises(SettingError) as error:
            ask(np.ones((2, 4)), n, m)
        assert str(error.value) == message


def test_other_bad_input_is_refused():
    with pytest.raises(ModelError) as error:
        n_m_masks({"bias": np.ones(4)})
    assert str(error.value) == (
        "The tensor 'bias' has shape (4,) and so no input axis; pass weights of linear layers (out, in) or "
        "convolutions (out, in / groups, height, width)."
    )
    with pytest.raises(ModelError, match=r"^The tensor 'w' holds NaN or infinite weights"):
        n_m_masks({"w": np.asarray([[1.0, np.nan]])}, 1, 2)
    with pytest.raises(UnknownNameError, match="no way with indivisible sizes called 'drop'"):
        n_m_masks({}, indivisible="drop")
