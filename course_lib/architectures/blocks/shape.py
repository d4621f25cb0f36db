"""What a block of the catalogue is built for: channels, pixels, kernel, stride, expansion, groups."""

from dataclasses import dataclass, fields

from course_lib.errors import SettingError


@dataclass(frozen=True)
class BlockShape:
    """What a block of the catalogue is built for; a block ignores what is not among its knobs.

    Parameters
    ----------
    in_channels, out_channels
        C_in and C_out, at least 1.
    resolution
        Side of the square input in pixels, at least 1.
    kernel
        Side of the square kernel, odd.
    stride
        1, or 2 to halve the resolution.
    expansion
        How many times wider than its input a block is inside, t ≥ 1.
    groups
        Groups of grouped convolutions, g ≥ 1.

    Raises
    ------
    SettingError
        If a number is no whole number in its range.
    """

    in_channels: int
    out_channels: int
    resolution: int
    kernel: int = 3
    stride: int = 1
    expansion: int = 6
    groups: int = 1

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise SettingError(f"{name} is {value!r}; expected a whole number of at least 1.")
        if self.kernel % 2 == 0:
            raise SettingError(
                f"kernel is {self.kernel}; expected an odd number, for the kernel has a middle: "
                f"pass {self.kernel + 1}."
            )
        if self.stride > 2:
            raise SettingError(f"stride is {self.stride}; expected 1, or 2 to halve the resolution.")
