import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from course_lib.errors import DataError, SettingError
from course_lib.quantization import PerChannel, choose_qparams, choose_qparams_from_range
from course_lib.quantization.calibration import MinMaxObserver, MovingAverageObserver

batches = st.lists(
    arrays(np.float32, (2, 3), elements=st.floats(-100, 100, width=32)), min_size=1, max_size=4
)


def observed(observer, *batches):
    for batch in batches:
        observer.observe(np.asarray(batch))
    return observer


# Worked by hand


def test_extremes_by_hand():
    assert observed(MinMaxObserver(), [1.0, -2.0], [[3.0], [0.5]]).range() == (-2, 3)
    assert observed(MinMaxObserver(), [1.0, 2.0]).range() == (0, 2)
    assert observed(MinMaxObserver(), [-3.0, -2.0]).range() == (-3, 0)


def test_each_channel_has_its_own_extremes():
    x = np.arange(-12.0, 12.0).reshape(2, 3, 4)
    low, high = observed(MinMaxObserver(axis=1), x, x / 2).range()
    assert low.shape == high.shape == (1, 3, 1)
    assert low.ravel().tolist() == [-12, -8, -4]
    assert high.ravel().tolist() == [3, 7, 11]


def test_moving_average_by_hand():
    # low: -1, then -1 + 0.5 * (-3 + 1) = -2; high: 2, then 2 + 0.5 * (4 - 2) = 3
    assert observed(MovingAverageObserver(0.5), [-1.0, 2.0], [-3.0, 4.0]).range() == (-2, 3)


# Properties


@given(batches)
def test_one_batch_or_many_have_the_same_extremes(batches):
    together = observed(MinMaxObserver(), np.concatenate(batches)).range()
    assert observed(MinMaxObserver(), *batches).range() == together


@given(batches, st.floats(0.01, 1))
def test_the_average_stays_inside_the_extremes(batches, constant):
    low, high = observed(MovingAverageObserver(constant), *batches).range()
    lowest, highest = observed(MinMaxObserver(), *batches).range()
    assert lowest - 1e-9 <= low <= 0 <= high <= highest + 1e-9


@given(batches)
def test_the_ranges_of_channels_are_those_of_choose_qparams(batches):
    x = np.concatenate(batches)
    ours = choose_qparams_from_range(*observed(MinMaxObserver(axis=-1), x).range(), 8, symmetric=False)
    theirs = choose_qparams(x, 8, symmetric=False, granularity=PerChannel(-1))
    assert (ours.scale == theirs.scale).all()
    assert (ours.zero_point == theirs.zero_point).all()


# Independent oracle


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torch_observers_find_the_same_ranges():
    from torch.ao.quantization import observer as torch_observers

    parts = [torch.randn(50, generator=torch.Generator().manual_seed(seed)) for seed in range(5)]
    pairs = [
        (MinMaxObserver(), torch_observers.MinMaxObserver()),
        (
            MovingAverageObserver(0.01),
            torch_observers.MovingAverageMinMaxObserver(averaging_constant=0.01),
        ),
    ]
    for ours, theirs in pairs:
        for part in parts:
            ours.observe(part)
            theirs(part)
        assert ours.range() == pytest.approx((theirs.min_val.item(), theirs.max_val.item()), rel=1e-6)


# Warnings and errors


@pytest.mark.parametrize("observer", [MinMaxObserver(), MinMaxObserver(axis=0), MovingAverageObserver()])
def test_no_data_has_no_range(observer):
    assert observer.warning() is None
    observer.observe(np.zeros((0, 3)))
    with pytest.raises(DataError) as error:
        observer.range()
    assert str(error.value) == (
        "No calibration data was observed, so there is no range yet; run at least one batch through the "
        "model before converting it."
    )


def test_constant_channels_of_different_values_are_no_constant_tensor():
    assert observed(MinMaxObserver(axis=0), [[1.0], [2.0]]).warning() is None
    assert observed(MinMaxObserver(axis=0), [[2.0], [2.0]]).warning() is not None


def test_another_number_of_channels_is_refused():
    observer = observed(MinMaxObserver(axis=1), np.ones((2, 3)))
    with pytest.raises(DataError) as error:
        observer.observe(np.ones((2, 4)))
    assert str(error.value) == (
        "A batch with ranges of shape (1, 4) came after batches with (1, 3); observe tensors with the same "
        "channels and dimensions."
    )


def test_an_axis_that_the_batch_lacks_is_refused():
    with pytest.raises(DataError) as error:
        MinMaxObserver(axis=1).observe(np.ones(3))
    assert str(error.value) == (
        "MinMaxObserver(axis=1) needs tensors that have this axis, but this one has 1 dimensions; choose "
        "another axis, or None."
    )


@pytest.mark.parametrize("constant", [0, -0.1, 1.5, float("nan")])
def test_an_averaging_constant_out_of_range_is_refused(constant):
    with pytest.raises(SettingError) as error:
        MovingAverageObserver(constant)
    assert str(error.value) == (
        f"averaging_constant is {constant!r}, but it is the share of the newest batch, above 0 and at most "
        "1; try 0.1."
    )
