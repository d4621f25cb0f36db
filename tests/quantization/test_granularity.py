import numpy as np
import pytest
import torch

from course_lib.errors import SettingError
from course_lib.quantization import PerChannel, PerGroup, PerTensor


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


# Groups


def test_groups_run_along_the_values_of_a_channel():
    x = np.arange(24.0).reshape(2, 3, 2, 2)
    groups = PerGroup(6).split(x)
    assert groups.shape == (2, 2, 6)
    assert groups[1].tolist() == [[12, 13, 14, 15, 16, 17], [18, 19, 20, 21, 22, 23]]
    assert PerGroup(4, axis=1).split(x).shape == (3, 2, 4)
    assert PerGroup(4, axis=1).split(x)[2, 1].tolist() == [20, 21, 22, 23]
    assert PerGroup(4, axis=-3).split(torch.from_numpy(x)).shape == (3, 2, 4)


def test_groups_that_do_not_divide_a_channel_are_refused():
    with pytest.raises(SettingError, match=r"such as 6, or PerChannel\(-1\)"):
        PerGroup(8, axis=-1).split(np.zeros((4, 3, 2)))
    with pytest.raises(SettingError) as error:
        PerGroup(32).split(np.zeros((5, 3, 2, 2)))
    assert str(error.value) == (
        "Groups of 32 do not divide the 12 values of a channel; choose a group_size that does, such as "
        "12, or PerChannel(0)."
    )


def test_a_channel_axis_that_the_tensor_lacks_is_refused():
    with pytest.raises(SettingError) as error:
        PerGroup(2, axis=2).split(np.zeros((4, 4)))
    assert str(error.value) == (
        "PerGroup(2, axis=2) needs a tensor that has this axis, but this one has 2 dimensions; choose "
        "another axis, or PerTensor()."
    )


@pytest.mark.parametrize("group_size", [0, -1, 2.5, None])
def test_a_group_takes_a_whole_number_of_values(group_size):
    with pytest.raises(SettingError) as error:
        PerGroup(group_size)
    assert str(error.value) == (
        f"group_size is {group_size!r}, but a group takes a whole number of values, 1 or more; try "
        "PerGroup(32)."
    )
