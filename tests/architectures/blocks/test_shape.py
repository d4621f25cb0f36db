import re

import pytest

from course_lib.architectures.blocks.shape import BlockShape
from course_lib.errors import SettingError


def test_a_shape_has_the_usual_kernel_and_stride() -> None:
    shape = BlockShape(8, 16, resolution=28)
    assert (shape.kernel, shape.stride, shape.expansion, shape.groups) == (3, 1, 6, 1)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"in_channels": 0}, "in_channels is 0; expected a whole number of at least 1."),
        ({"out_channels": 2.5}, "out_channels is 2.5; expected a whole number of at least 1."),
        ({"expansion": True}, "expansion is True; expected a whole number of at least 1."),
        ({"kernel": 4}, "kernel is 4; expected an odd number, for the kernel has a middle: pass 5."),
        ({"stride": 3}, "stride is 3; expected 1, or 2 to halve the resolution."),
    ],
)
def test_a_number_outside_its_range_is_refused(wrong: dict, sentence: str) -> None:
    with pytest.raises(SettingError, match=f"^{re.escape(sentence)}$"):
        BlockShape(**{"in_channels": 8, "out_channels": 16, "resolution": 28, **wrong})
