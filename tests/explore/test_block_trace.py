import pytest
import torch

from course_lib.architectures.blocks.catalogue import BLOCKS, BlockShape
from course_lib.errors import SettingError, UnknownNameError
from course_lib.explore.block_trace import INPUT, trace_block


def test_the_worked_example() -> None:
    trace = trace_block("separable", BlockShape(8, 16, resolution=10))
    assert [step.kind for step in trace.steps] == ["Conv2d", "BatchNorm2d", "ReLU"] * 2
    assert [step.shapes[0][1] for step in trace.steps] == [8, 8, 8, 16, 16, 16]
    assert trace.steps[0].inputs == (INPUT,)
    assert trace.output_shape == (1, 16, 10, 10)


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("stride", [1, 2])
def test_the_shapes_are_those_of_a_real_run(name: str, stride: int) -> None:
    shape = BlockShape(12, 12 * stride, resolution=9, stride=stride, expansion=2, groups=3)
    module = BLOCKS[name].build(shape).eval()
    with torch.no_grad():
        run = module(torch.zeros(1, 12, 9, 9))
    assert trace_block(name, shape).output_shape == tuple(run.shape)


def test_a_split_makes_two_tensors_and_an_identity_none() -> None:
    trace = trace_block("shuffle_v2", BlockShape(8, 8, resolution=4))
    (split,) = [step for step in trace.steps if step.kind == "chunk"]
    assert (len(split.outputs), split.shapes) == (2, ((1, 4, 4, 4), (1, 4, 4, 4)))
    plain = trace_block("inverted_residual", BlockShape(8, 8, resolution=4, expansion=1))
    assert "Identity" not in {step.kind for step in plain.steps}


def test_every_tensor_that_is_read_was_made_before() -> None:
    for name in BLOCKS:
        trace = trace_block(name, BlockShape(24, 24, resolution=7, groups=3))
        known = {INPUT}
        for step in trace.steps:
            assert set(step.inputs) <= known, name
            known |= set(step.outputs)
        assert trace.output in known
        assert set(trace.shapes) == known


def test_no_numbers_are_kept() -> None:
    for step in trace_block("standard", BlockShape(128, 128, resolution=56, kernel=7)).steps:
        if step.layer:
            assert all(parameter.is_meta for parameter in step.layer.parameters())


def test_what_does_not_exist_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="no block called 'conv'"):
        trace_block("conv", BlockShape(8, 8, resolution=4))
    with pytest.raises(SettingError, match="A ShuffleNet V1 block got 8 → 16 channels at stride 1"):
        trace_block("shuffle_v1", BlockShape(8, 16, resolution=4))
