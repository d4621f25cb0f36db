import pytest

from course_lib.errors import SettingError
from course_lib.quantization import PerChannel, PerTensor


def test_per_tensor_shares_one_scale_along_every_axis():
    assert PerTensor().shared_axes(4) == (0, 1, 2, 3)
    assert PerTensor().shared_axes(0) == ()


@pytest.mark.parametrize(
    ("axis", "shared"), [(0, (1, 2, 3)), (1, (0, 2, 3)), (3, (0, 1, 2)), (-1, (0, 1, 2)), (-4, (1, 2, 3))]
)
def test_per_channel_keeps_its_axis(axis, shared):
    assert PerChannel(axis).shared_axes(4) == shared


@pytest.mark.parametrize(("axis", "ndim"), [(4, 4), (-5, 4), (0, 0)])
def test_an_axis_that_the_tensor_lacks_is_refused(axis, ndim):
    with pytest.raises(SettingError) as error:
        PerChannel(axis).shared_axes(ndim)
    assert str(error.value) == (
        f"PerChannel(axis={axis}) needs a tensor that has this axis, but this one has {ndim} dimensions; "
        "choose another axis, or PerTensor()."
    )


def test_granularities_compare_by_value():
    assert PerChannel() == PerChannel(axis=0) != PerChannel(axis=1)
    assert PerTensor() == PerTensor()
