from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import brute

from course_lib.errors import ModelError
from course_lib.quantization import PerChannel, PerGroup, PerTensor, choose_qparams, fake_quantize
from course_lib.quantization.clipping import choose_clipped_qparams


def squared_error(x: NDArray[Any], scale: float, limit: int) -> float:
    return float(((np.clip(np.rint(x / scale), -limit, limit) * scale - x) ** 2).sum())


def test_worked_value() -> None:
    x = np.array([0.5, 0.5, 0.5, 0.5, 0.9], np.float32)
    qparams = choose_clipped_qparams(x, 2, symmetric=True, granularity=PerTensor())
    assert qparams.scale.item() == pytest.approx(0.58, abs=0.005)
    assert squared_error(x, 0.9, 1) == pytest.approx(0.64)
    assert squared_error(x, 0.58, 1) == pytest.approx(0.128)


@given(st.integers(2, 8), st.booleans(), st.integers(0, 1000))
def test_never_worse_than_min_max_in_any_channel(bits: int, symmetric: bool, seed: int) -> None:
    x = np.random.default_rng(seed).laplace(size=(3, 40)).astype(np.float32)
    errors = []
    for choose in (choose_qparams, choose_clipped_qparams):
        qparams = choose(x, bits, symmetric=symmetric, granularity=PerChannel())
        errors.append(((x - fake_quantize(x, qparams)) ** 2).sum(1))
    assert (errors[1] <= errors[0] * 1.000001).all()


def test_close_to_the_best_scale_of_an_exhaustive_search() -> None:
    x = np.random.default_rng(0).normal(size=2000).astype(np.float32)
    best = brute(lambda s: squared_error(x, s[0], 3), [(0.1, 2.0)], Ns=3000, finish=None)
    qparams = choose_clipped_qparams(x, 3, symmetric=True, granularity=PerTensor())
    assert squared_error(x, qparams.scale.item(), 3) <= squared_error(x, float(best), 3) * 1.01


def test_numpy_torch_and_groups_agree() -> None:
    x = np.random.default_rng(1).normal(size=(4, 6)).astype(np.float32)
    ours = choose_clipped_qparams(x, 3, symmetric=True, granularity=PerGroup(3))
    theirs = choose_clipped_qparams(torch.from_numpy(x), 3, symmetric=True, granularity=PerGroup(3))
    assert ours.scale.shape == (4, 2)
    np.testing.assert_array_equal(ours.scale, theirs.scale.numpy())
    alone = choose_clipped_qparams(x[2, 3:], 3, symmetric=True, granularity=PerTensor())
    assert ours.scale[2, 1] == alone.scale.item()


def test_values_that_no_grid_fits() -> None:
    with pytest.raises(ModelError, match=r"^These values hold NaN or infinite numbers"):
        choose_clipped_qparams(np.array([np.nan]), 4, symmetric=True, granularity=PerTensor())
