"""Times on the block explorer's picture, for kernels with times chosen by hand."""

from course_lib.explore.block_result import KernelTime
from course_lib.widgets.block_view import result_view
from tests.explore.known_block import SHAPE, latency, result


def shown_times(deep_us: float, point_us: float) -> list[str]:
    kernels = (KernelTime("Conv", "deep", 4_000, deep_us), KernelTime("Conv", "point", 3_000, point_us))
    standard = (KernelTime("Conv", "0", 2_000, 50.0),)
    view = result_view(result(latency(30, 60, kernels, standard)), SHAPE)
    return [layer["time"] for layer in view["picture"]["layers"]]


def test_a_time_under_the_profilers_resolution_is_said_to_be_that() -> None:
    assert shown_times(0.0, 0.5) == ["< 1 µs", "< 1 µs"]
    assert shown_times(1.0, 12.0) == ["1.0 µs", "12 µs"]
