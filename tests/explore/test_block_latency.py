from math import prod

import numpy as np
import pytest

from course_lib.architectures.blocks.catalogue import BLOCKS, BlockShape
from course_lib.explore.block_choice import standard_of
from course_lib.explore.block_latency import kernel_times, measure_block
from course_lib.explore.block_onnx import block_onnx
from course_lib.explore.block_trace import trace_block
from course_lib.explore.cancelling import Cancelled
from course_lib.runtimes.onnx_insight import OperatorTime, operator_times

SHAPE = BlockShape(16, 32, resolution=14)


def test_a_block_is_measured_beside_the_standard_convolution() -> None:
    measured = measure_block("separable", SHAPE, SHAPE)
    assert measured.ratio == pytest.approx(measured.p50_ms / measured.standard_p50_ms)
    assert measured.ratio_interval.low <= measured.ratio <= measured.ratio_interval.high
    assert measured.p50_interval_ms.low <= measured.p50_ms <= measured.p50_interval_ms.high
    assert measured.runs >= 12
    assert [kernel.path for kernel in measured.kernels if kernel.path] == ["depthwise.0", "pointwise.0"]
    assert [kernel.path for kernel in measured.standard_kernels if kernel.path] == ["0.0"]


def test_bytes_are_those_of_inputs_weights_and_outputs() -> None:
    operator = OperatorTime("c", "Conv", ("float",) * 2, ((1, 2, 3, 3), (4, 2, 1, 1)), (1, 4, 3, 3), (7.0,))
    trace = trace_block("standard", BlockShape(2, 4, resolution=3, kernel=1))
    (kernel,) = kernel_times(trace, (operator,))
    assert kernel.bytes_moved == 4 * (18 + 8 + 36)
    assert (kernel.path, kernel.p50_us) == ("", 7.0)


def test_a_kernel_under_the_profilers_resolution_is_not_given_a_time() -> None:
    quick = OperatorTime("c", "Conv", ("float",), ((1, 2, 3, 3),), (1, 2, 3, 3), (0.0, 0.0, 1.0))
    (kernel,) = kernel_times(trace_block("standard", BlockShape(2, 2, resolution=3, kernel=1)), (quick,))
    assert kernel.p50_us == 0


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("stride", [1, 2])
def test_every_convolution_of_a_block_is_found_once_among_the_kernels(name: str, stride: int) -> None:
    shape = BlockShape(24, 24 * stride, resolution=9, stride=stride, expansion=2, groups=3)
    trace = trace_block(name, shape)
    content = block_onnx(trace, BLOCKS[name].build(shape).state_dict())
    x = np.zeros(trace.input_shape, np.float32)
    kernels = kernel_times(trace, operator_times(content, x, runs=1))
    convolutions = sorted(step.path for step in trace.steps if step.kind == "Conv2d")
    assert sorted(kernel.path for kernel in kernels if kernel.path) == convolutions
    # The picture is read at least once, and what is made is written.
    assert sum(kernel.bytes_moved for kernel in kernels) >= 4 * (prod(x.shape) + prod(trace.output_shape))


def test_a_measurement_can_be_given_up() -> None:
    asked: list[int] = []

    def after_a_few() -> bool:
        asked.append(1)
        return len(asked) > 5

    with pytest.raises(Cancelled, match="The measurement was given up for a newer one; ask for it again"):
        measure_block("mbconv", SHAPE, standard_of("mbconv", SHAPE), after_a_few)
    assert len(asked) == 6  # none after it was said
