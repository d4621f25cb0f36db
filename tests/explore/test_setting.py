import pytest

from course_lib.errors import SettingError
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
