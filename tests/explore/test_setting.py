import pytest

from course_lib.errors import SettingError, UnknownNameError
from course_lib.explore import CompressionSetting


def test_a_setting_says_itself_in_words():
    assert CompressionSetting().label == "0% zeros, 32-bit float"
    assert CompressionSetting(0.5, 4, False, True).label == "50% zeros, 4 bits asymmetric per channel"


def test_only_the_default_is_dense():
    assert CompressionSetting().dense
    assert not CompressionSetting(sparsity=0.01).dense
    assert not CompressionSetting(bits=16).dense


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 1.5, float("nan")])
def test_sparsity_out_of_range_is_refused(sparsity: float):
    with pytest.raises(SettingError, match=r"sparsity is .*expected a fraction from 0 up to"):
        CompressionSetting(sparsity=sparsity)


@pytest.mark.parametrize("bits", [0, 1, 17, 31, 33])
def test_bits_out_of_range_are_refused(bits: int):
    with pytest.raises(SettingError, match=f"bits is {bits}; expected 2 to 16, or 32"):
        CompressionSetting(bits=bits)


def test_removed_channels_come_first_in_the_words():
    setting = CompressionSetting(0.5, pruning_ratio=0.25, importance="bn_scale", multiple_of=4)
    removed = "25% of the channels removed (batch-norm scale, multiples of 4)"
    assert setting.label == f"{removed}, 50% zeros, 32-bit float"
    assert not CompressionSetting(pruning_ratio=0.1).dense


def test_settings_that_remove_no_channels_are_equal():
    assert CompressionSetting(importance="random", multiple_of=1) == CompressionSetting()


@pytest.mark.parametrize("ratio", [-0.1, 1.0, float("nan")])
def test_a_pruning_ratio_out_of_range_is_refused(ratio: float):
    with pytest.raises(SettingError, match=r"pruning_ratio is .*expected a fraction of the channels from 0"):
        CompressionSetting(pruning_ratio=ratio)


def test_an_unknown_importance_and_an_impossible_multiple_are_refused():
    with pytest.raises(UnknownNameError, match="no importance called 'l3'; the known ones are bn_scale"):
        CompressionSetting(pruning_ratio=0.5, importance="l3")
    with pytest.raises(SettingError, match="multiple_of is 0; expected at least 1"):
        CompressionSetting(pruning_ratio=0.5, multiple_of=0)
