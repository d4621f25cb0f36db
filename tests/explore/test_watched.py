"""What is kept of an activation gives the same ranges as observers that see the data again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.errors import ModelError
from course_lib.explore.watched import BATCH, HELD_OUT_VALUES, STOPS, WatchedTensor
from course_lib.quantization import OBSERVERS


def watch(batches: list[np.ndarray]) -> WatchedTensor:
    watched = WatchedTensor("relu")
    for number, batch in enumerate(batches, 1):
        watched.observe(batch, number * BATCH)
    return watched


def test_stops_double_from_one_batch_to_1024_images() -> None:
    assert STOPS == (8, 16, 32, 64, 128, 256, 512, 1024)


def test_min_max_by_hand() -> None:
    watched = watch([np.array([-1.0, 0.5], np.float32), np.array([3.0, 0.0], np.float32)])
    assert watched.range("minmax", 8, False, 8) == (-1.0, 0.5)
    assert watched.range("minmax", 8, False, 16) == (-1.0, 3.0)
    # 0.5 + 0.1 · (3 − 0.5) after the second batch, and −1 + 0.1 · (0 + 1).
    assert watched.range("moving_average", 8, False, 16) == pytest.approx((-0.9, 0.75))


@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 99),
    bits=st.sampled_from([2, 4, 8, 16]),
    symmetric=st.booleans(),
    images=st.sampled_from([8, 16, 32]),
)
def test_ranges_are_those_of_observers_that_watch_from_the_start(
    seed: int, bits: int, symmetric: bool, images: int
) -> None:
    generator = np.random.default_rng(seed)
    batches = [generator.normal(scale=1 + n, size=300).astype(np.float32) for n in range(4)]
    watched = watch(batches)
    for kind, make in OBSERVERS.items():
        observer = make(bits, symmetric)
        for batch in batches[: images // BATCH]:
            observer.observe(batch)
        assert watched.range(kind, bits, symmetric, images) == observer.range()


def test_the_histogram_is_that_of_the_images_asked_for() -> None:
    watched = watch([np.ones(5, np.float32), np.zeros(7, np.float32)])
    assert (watched.histogram(8).total, watched.histogram(16).total, watched.histogram(16).zeros) == (
        5,
        12,
        7,
    )


def test_held_out_values_are_bounded_and_come_from_everywhere() -> None:
    watched, many = WatchedTensor("relu"), np.arange(2 * HELD_OUT_VALUES, dtype=np.float32)
    watched.hold_out(many, np.random.default_rng(0))
    assert watched.held_out.size == np.unique(watched.held_out).size == HELD_OUT_VALUES
    assert watched.held_out.mean() == pytest.approx(many.mean(), rel=0.01)
    watched.hold_out(many[:10], np.random.default_rng(0))
    np.testing.assert_array_equal(watched.held_out, many[:10])


def test_nan_is_refused() -> None:
    with pytest.raises(ModelError, match="1 of these 2 activations are NaN, infinite"):
        watch([np.array([1.0, np.nan], np.float32)])
