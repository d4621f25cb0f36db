import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from course_lib.errors import DataError, SettingError, UnknownNameError
from course_lib.explore.tensors import DISTRIBUTIONS, distribution, drawn, from_array, layer_tensors

HEIGHTS = st.lists(st.floats(0, 1), min_size=1, max_size=60).filter(lambda heights: max(heights) > 0.01)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_each_distribution_is_repeatable_and_finite(name: str) -> None:
    tensor = distribution(name)
    assert tensor.values.shape == (16, 256)
    assert tensor.values.dtype == np.float32
    assert np.array_equal(tensor.values, distribution(name).values)
    assert not np.array_equal(tensor.values, distribution(name, seed=1).values)
    assert np.isfinite(tensor.values).all()


def test_the_distributions_are_what_they_are_called() -> None:
    assert distribution("normal").values.std() == pytest.approx(1, abs=0.05)
    assert np.abs(distribution("uniform").values).max() <= 1
    assert distribution("after ReLU").values.min() == 0
    spreads = distribution("normal, channels of unequal spread").values.std(axis=1)
    assert spreads[-1] / spreads[0] == pytest.approx(20, rel=0.2)


def test_two_bars_by_hand() -> None:
    # A quarter of the values below 0 and three quarters above, each evenly spread.
    values = np.sort(drawn([0.25, 0.75], limit=2.0).values.ravel())
    assert (values < 0).sum() == 1024
    assert values[0] == pytest.approx(-2 + 2 * 0.5 / 1024)
    assert values[-1] == pytest.approx(2 - 2 * 0.5 / 3072)


@given(HEIGHTS, st.floats(0.01, 100))
def test_the_histogram_of_a_drawing_is_the_drawing(heights: list[float], limit: float) -> None:
    tensor = drawn(heights, limit=limit)
    counts, _ = np.histogram(tensor.values, len(heights), (-limit, limit))
    expected = 4096 * np.array(heights) / sum(heights)
    # Rounding to float32 may move a value at a bar's edge into the next bar.
    assert np.abs(counts - expected).max() <= 3
    assert tensor.peak == max(heights)
    assert tensor.drawn_limit == limit


@pytest.mark.parametrize("heights", [[], [0.0, 0.0], [-0.1, 1.0], [float("nan")], [float("inf")]])
def test_what_is_no_drawing_is_refused(heights: list[float]) -> None:
    with pytest.raises(DataError, match=r"each finite and at least 0, .* draw at least one bar\."):
        drawn(heights)


@pytest.mark.parametrize("limit", [0.0, -1.0, float("inf"), float("nan")])
def test_an_axis_without_width_is_refused(limit: float) -> None:
    with pytest.raises(DataError, match=f"axis ends at {limit}; expected a finite number above 0"):
        drawn([1.0], limit=limit)


def test_an_unknown_distribution_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"no distribution called 'gauss'; .* normal"):
        distribution("gauss")


def test_layers_come_as_rows_of_one_channel() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(144, 3)).eval()
    tensors = layer_tensors(network, (1, 8, 8))
    assert list(tensors) == ["0.weight", "2.weight"]
    assert np.array_equal(tensors["0.weight"].values, network[0].weight.detach().numpy().reshape(4, 9))
    assert np.array_equal(tensors["2.weight"].values, network[2].weight.detach().numpy())


def test_an_array_or_tensor_of_ones_own() -> None:
    weight = nn.Linear(6, 4).weight
    assert np.array_equal(from_array(weight).values, weight.detach().numpy())
    columns = from_array(torch.arange(6.0).reshape(3, 2), channel_axis=1)
    assert columns.values.tolist() == [[0, 2, 4], [1, 3, 5]]
    assert from_array([1, 2, 3]).values.shape == (1, 3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], r"shape \(0,\) is empty or holds NaN"),
        ([1.0, float("nan")], r"holds NaN or infinite values; pass finite numbers"),
        (object(), "is an array of real numbers, not object; pass a NumPy array"),
    ],
)
def test_what_is_no_tensor_is_refused(values: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_array(values)


def test_a_missing_axis_is_refused() -> None:
    with pytest.raises(DataError, match="channel_axis is 2, but this tensor has 2 dimensions"):
        from_array(np.ones((2, 2)), channel_axis=2)


def test_an_outlier_takes_the_place_of_one_value() -> None:
    tensor = from_array([[1.0, -1.0], [1.0, -1.0]])
    assert tensor.with_outlier(0) is tensor
    assert tensor.with_outlier(20).values.tolist() == [[20, -1], [1, -1]]
    assert tensor.values[0, 0] == 1


def test_a_constant_tensor_has_no_outlier() -> None:
    with pytest.raises(SettingError, match=r"All values of yours are equal, .* set outlier=0"):
        from_array([2.0, 2.0]).with_outlier(3)


def test_offered_groups_divide_a_channel_into_at_least_two() -> None:
    assert distribution("normal").group_sizes == (128, 64, 32, 16, 8, 4)
    assert from_array(np.ones((2, 9))).group_sizes == (3,)
    assert from_array(np.ones((2, 7))).group_sizes == ()
