import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import nn
from torch.nn import functional as F

from course_lib.architectures.separable_kernel import (
    composed_kernel,
    kernel_error,
    separable_factors,
    separable_pair,
)
from course_lib.errors import ModelError, SettingError

sizes = st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))


def random_kernel(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_worked_example() -> None:
    weight = torch.tensor([[[[3.0, 0.0]]], [[[0.0, 1.0]]]])  # two outputs, one input, 1×2 places
    depthwise, pointwise = separable_factors(weight)
    torch.testing.assert_close(depthwise.flatten(), torch.tensor([3**0.5, 0.0], dtype=torch.float64))
    torch.testing.assert_close(pointwise.flatten(), torch.tensor([3**0.5, 0.0], dtype=torch.float64))
    assert kernel_error(weight, depthwise, pointwise) == pytest.approx(0.1**0.5)


@given(sizes, st.integers(0, 10_000))
@settings(max_examples=40)
def test_more_filters_come_closer_until_the_kernels_are_equal(shape, seed) -> None:
    weight = random_kernel(shape, seed)
    largest = min(shape[0], shape[2] * shape[3])
    errors = [kernel_error(weight, *separable_factors(weight, m)) for m in range(1, largest + 1)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-12
    assert all(0 <= error < 1 for error in errors)


@given(sizes, st.integers(0, 10_000))
@settings(max_examples=40)
def test_a_kernel_that_is_separable_is_found_again(shape, seed) -> None:
    out_channels, in_channels, height, width = shape
    depthwise = random_kernel((in_channels, 1, height, width), seed)
    pointwise = random_kernel((out_channels, in_channels, 1, 1), seed + 1)
    weight = composed_kernel(depthwise, pointwise, in_channels)
    found = composed_kernel(*separable_factors(weight), in_channels)
    torch.testing.assert_close(found, weight, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("multiplier", [1, 2])
def test_no_other_pair_is_closer_for_scipy_and_the_error_is_that_of_the_singular_values(multiplier) -> None:
    weight = random_kernel((4, 2, 3, 3))
    error = kernel_error(weight, *separable_factors(weight, multiplier))
    squares = [np.linalg.svd(weight[:, i].flatten(1).numpy(), compute_uv=False) ** 2 for i in range(2)]
    lost = sum(row[multiplier:].sum() for row in squares) / sum(row.sum() for row in squares)
    assert error == pytest.approx(lost**0.5)

    def squared(numbers: np.ndarray) -> tuple[float, np.ndarray]:
        flat = torch.tensor(numbers, requires_grad=True)
        filters = flat[: 18 * multiplier].reshape(2 * multiplier, 1, 3, 3)
        mixing = flat[18 * multiplier :].reshape(4, 2 * multiplier, 1, 1)
        loss = (composed_kernel(filters, mixing, 2) - weight).square().sum()
        loss.backward()
        return loss.item(), flat.grad.numpy()

    count = (18 + 8) * multiplier
    starts = np.random.default_rng(0).normal(size=(10, count))
    closest = min(minimize(squared, start, jac=True, method="L-BFGS-B").fun for start in starts)
    assert error**2 * float(weight.square().sum()) == pytest.approx(closest, rel=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"padding": 1},
        {"padding": 2, "stride": 2, "dilation": 2, "bias": False},
        {"padding": "same", "padding_mode": "reflect"},
    ],
)
def test_with_all_filters_a_pair_computes_what_the_convolution_does(options) -> None:
    conv = nn.Conv2d(3, 5, 3, **options).double().eval()
    pair, error = separable_pair(conv, multiplier=5)
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(pair(x), conv(x))
    assert error < 1e-12
    assert not pair.training
    assert (pair[1].bias is None) == (conv.bias is None)


def test_for_white_noise_the_error_of_the_output_is_that_of_the_kernel() -> None:
    weight = random_kernel((8, 6, 3, 3))
    depthwise, pointwise = separable_factors(weight)
    x = random_kernel((64, 6, 12, 12), seed=1)
    dense = F.conv2d(x, weight)
    close = F.conv2d(F.conv2d(x, depthwise, groups=6), pointwise)
    measured = float((dense - close).norm() / dense.norm())
    assert measured == pytest.approx(kernel_error(weight, depthwise, pointwise), rel=0.02)


def test_a_kernel_of_zeros_has_no_error() -> None:
    weight = torch.zeros(2, 3, 3, 3)
    depthwise, pointwise = separable_factors(weight)
    assert not composed_kernel(depthwise, pointwise, 3).any()
    assert kernel_error(weight, depthwise, pointwise) == 0


def test_bad_input_gets_one_sentence() -> None:
    weight = torch.ones(4, 2, 3, 3)
    with pytest.raises(
        SettingError, match=r"^multiplier is 5, but a kernel of shape \(4, 2, 3, 3\) has 1 to 4"
    ):
        separable_factors(weight, 5)
    with pytest.raises(SettingError, match=r"^multiplier is 0, but"):
        separable_factors(weight, 0)
    weight[0, 0, 0, 0] = torch.nan
    with pytest.raises(ModelError, match=r"^A kernel of shape \(4, 2, 3, 3\) holds NaN or infinite values"):
        separable_factors(weight)
    with pytest.raises(ModelError, match=r"has 4 groups; only a dense convolution \(groups=1\)"):
        separable_pair(nn.Conv2d(4, 4, 3, groups=4))
