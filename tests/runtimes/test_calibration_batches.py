import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.runtimes.calibration_batches import batches_of


@pytest.mark.parametrize(
    ("size", "expected"), [(1, [[0], [1], [2]]), (2, [[0, 1], [2, 0]]), (5, [[0, 1, 2, 0, 1]])]
)
def test_hand_worked(size, expected):
    assert [batch.tolist() for batch in batches_of(np.arange(3), size)] == expected


@given(count=st.integers(1, 50), size=st.integers(1, 20))
def test_every_batch_is_full_and_every_value_comes(count, size):
    batches = list(batches_of(np.arange(count), size))
    assert {len(batch) for batch in batches} == {size}
    assert np.concatenate(batches)[:count].tolist() == list(range(count))
