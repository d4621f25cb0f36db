import numpy as np
import pytest
import torch

from course_lib.errors import ModelError
from course_lib.quantization.calibration.activations import as_finite, constant_warning


def test_torch_tensors_of_any_type_become_arrays():
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    assert as_finite(weight).tolist() == [1, -2]
    assert as_finite(torch.tensor([1.5], dtype=torch.bfloat16)).tolist() == [1.5]
    assert as_finite(torch.tensor([3], dtype=torch.int64)).tolist() == [3]
    assert as_finite(torch.zeros(2, 3).T).shape == (3, 2)


def test_arrays_stay_as_they_are():
    x = np.asarray([[1.0, 2.0]], np.float64)
    assert as_finite(x) is x
    assert as_finite(np.float32(2.5)).shape == ()
    assert as_finite(np.zeros((0, 3))).size == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2e38])
@pytest.mark.parametrize("as_torch", [True, False])
def test_values_that_no_range_holds_are_counted(bad, as_torch):
    x = np.asarray([[1.0, bad, 2.0], [bad, 0.0, 4.0]], np.float32)
    with pytest.raises(ModelError) as error:
        as_finite(torch.from_numpy(x) if as_torch else x)
    assert str(error.value) == (
        "2 of these 6 activations are NaN, infinite, or beyond ±1e+38, and no range holds them; look for "
        "such values in the calibration data and in the weights of the layers before."
    )


@pytest.mark.filterwarnings("error")
def test_infinity_in_half_precision_is_seen():
    assert as_finite(np.asarray([65504.0], np.float16)).tolist() == [65504]
    with pytest.raises(ModelError, match=r"^1 of these 2 activations"):
        as_finite(np.asarray([np.inf, 1.0], np.float16))


def test_only_equal_values_are_warned_about():
    assert constant_warning(-1.0, 1.0) is None
    assert constant_warning(np.asarray([1.0, 2.0]), np.asarray([1.0, 2.0])) is None
    assert constant_warning(0.25, 0.25) == (
        "All values observed so far are 0.25, and a range fitted to one number holds no others; calibrate "
        "with real inputs, 100 to 1000 of them."
    )
