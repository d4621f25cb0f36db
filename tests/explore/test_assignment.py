import pytest

from course_lib.errors import SettingError, UnknownNameError
from course_lib.explore import BitAssignment

LAYERS = ["stem", "middle", "head"]


def test_layers_that_are_not_named_stay_in_floating_point():
    assert BitAssignment.of(LAYERS, {"head": 4, "stem": 8}).bits == (8, 32, 4)
    assert BitAssignment.of(LAYERS, {}).dense


@pytest.mark.parametrize(
    ("bits", "label"),
    [((32, 32, 32), "32-bit float"), ((4, 4, 4), "uniform 4 bits"), ((8, 32, 2), "8 f 2")],
)
def test_an_assignment_has_words(bits: tuple[int, ...], label: str):
    assert BitAssignment(bits).label == label


@pytest.mark.parametrize("width", [0, 1, 9, 16, -4])
def test_widths_that_do_not_exist_are_refused(width: int):
    with pytest.raises(SettingError, match=rf"given {width} bits; expected 2 to 8, or 32 for floating point"):
        BitAssignment((8, width, 32))


def test_an_unknown_layer_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match="no layer called 'tail'; the known ones are head, middle"):
        BitAssignment.of(LAYERS, {"tail": 4})
