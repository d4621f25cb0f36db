"""The graph that is written directly computes what PyTorch does, and runs as the kernels of an export."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from course_lib.architectures.blocks.catalogue import BLOCKS, BlockShape
from course_lib.errors import ModelError, SettingError
from course_lib.explore.block_onnx import block_onnx
from course_lib.explore.block_trace import BlockTrace, trace_block
from course_lib.export.onnx_export import build_onnx
from course_lib.reproducibility import seeded_torch
from course_lib.runtimes.onnx_insight import operator_times
from course_lib.runtimes.onnx_runtime import OnnxRuntime

SHAPE = BlockShape(24, 48, resolution=15, kernel=3, stride=2, expansion=3, groups=3)


def lively(name: str, shape: BlockShape) -> nn.Module:
    """Return a block whose norms do something."""
    with seeded_torch(0):
        module = BLOCKS[name].build(shape).eval()
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                nn.init.uniform_(layer.running_mean, -1, 1)
                nn.init.uniform_(layer.running_var, 0.5, 2)
                nn.init.uniform_(layer.bias, -1, 1)
    return module


def assert_same(name: str, shape: BlockShape) -> None:
    module, trace = lively(name, shape), trace_block(name, shape)
    x = 3 * np.random.default_rng(0).standard_normal(trace.input_shape, np.float32)
    with torch.no_grad():
        expected = module(torch.from_numpy(x)).numpy()
    content = block_onnx(trace, module.state_dict())
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    np.testing.assert_allclose(OnnxRuntime().load(content).run(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5])
def test_pytorch_computes_the_same(name: str, stride: int, kernel: int) -> None:
    channels = 48 if stride == 2 else 24
    assert_same(name, replace(SHAPE, out_channels=channels, stride=stride, kernel=kernel))


@given(
    name=st.sampled_from(sorted(BLOCKS)),
    channels=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    resolution=st.integers(1, 9),
    kernel=st.sampled_from((1, 3, 7)),
    stride=st.integers(1, 2),
    expansion=st.integers(1, 3),
    groups=st.integers(1, 3),
)
@settings(max_examples=30)
def test_any_shape_that_a_block_can_have(
    name: str,
    channels: tuple[int, int],
    resolution: int,
    kernel: int,
    stride: int,
    expansion: int,
    groups: int,
) -> None:
    shape = BlockShape(*channels, resolution, kernel, stride, expansion, groups)
    try:
        BLOCKS[name].macs(shape)
    except SettingError:
        return
    assert_same(name, shape)


@pytest.mark.slow
@pytest.mark.parametrize("name", BLOCKS)
def test_the_same_kernels_run_as_of_an_export(name: str) -> None:
    module, trace = lively(name, SHAPE), trace_block(name, SHAPE)
    x = torch.zeros(trace.input_shape)
    written = operator_times(block_onnx(trace, module.state_dict()), x.numpy(), runs=1)
    exported = operator_times(build_onnx(module, x, dynamic_batch=False), x.numpy(), runs=1)
    assert sorted((each.operator, each.output_shape) for each in written) == sorted(
        (each.operator, each.output_shape) for each in exported
    )


def test_a_step_without_a_form_is_refused() -> None:
    trace = trace_block("standard", BlockShape(2, 2, resolution=3))
    strange = replace(trace.steps[-1], kind="Tanh")
    broken = BlockTrace(trace.input_shape, (*trace.steps[:-1], strange), trace.output)
    with pytest.raises(ModelError) as caught:
        block_onnx(broken, BLOCKS["standard"].build(BlockShape(2, 2, resolution=3)).state_dict())
    assert str(caught.value).startswith("A step of the kind Tanh has no form in block_onnx, which knows Adap")
    assert str(caught.value).endswith("use build_onnx from course_lib.export.onnx_export.")
