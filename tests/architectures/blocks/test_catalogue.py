from collections.abc import Callable
from dataclasses import replace
from math import prod

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from course_lib.architectures.blocks.catalogue import BLOCKS, BlockShape
from course_lib.architectures.blocks.micro_factorized import adaptive_groups
from course_lib.architectures.tracing import trace_steps
from course_lib.errors import SettingError
from course_lib.export.onnx_export import build_onnx
from course_lib.pruning.structure.dependency import DependencyGraph
from course_lib.pruning.structure.removal import remove
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from tests.architectures.blocks.counting import counted
from tests.architectures.blocks.latex_value import latex_value

KEPT = BlockShape(24, 24, resolution=9, expansion=3, groups=3)
SHRUNK = replace(KEPT, out_channels=48, stride=2)
OTHER = {"in_channels": 36, "out_channels": 96, "kernel": 5, "stride": 2, "expansion": 2, "groups": 1}

shapes = st.builds(
    BlockShape,
    in_channels=st.integers(1, 12) | st.sampled_from([12, 24]),
    out_channels=st.integers(1, 12) | st.sampled_from([12, 24, 48]),
    resolution=st.integers(1, 9),
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.sampled_from([1, 2]),
    expansion=st.integers(1, 4),
    groups=st.integers(1, 4),
)


@pytest.mark.parametrize("name", BLOCKS)
@settings(max_examples=25)
@given(shape=shapes)
def test_formula_and_module_agree_on_every_shape_or_refuse_it_alike(name: str, shape: BlockShape) -> None:
    kind = BLOCKS[name]
    refusals = {refusal(call, shape) for call in (kind.build, kind.macs, kind.params)}
    assert len(refusals) == 1
    if refusals == {None}:
        found = counted(kind.build(shape), shape.in_channels, shape.resolution)
        assert found == (kind.macs(shape), kind.params(shape))


def refusal(call: Callable[[BlockShape], object], shape: BlockShape) -> str | None:
    """Return the sentence with which a shape is refused, or None."""
    try:
        call(shape)
    except SettingError as error:
        return str(error)
    return None


@pytest.mark.parametrize("shape", [KEPT, SHRUNK], ids=["kept", "shrunk"])
@pytest.mark.parametrize("name", BLOCKS)
def test_no_block_of_the_tests_is_refused(name: str, shape: BlockShape) -> None:
    kind = BLOCKS[name]
    assert counted(kind.build(shape), 24, 9) == (kind.macs(shape), kind.params(shape))


@pytest.mark.parametrize("name", BLOCKS)
@given(shape=shapes)
def test_the_latex_says_what_the_function_computes(name: str, shape: BlockShape) -> None:
    kind = BLOCKS[name]
    if refusal(kind.macs, shape):
        shape = replace(SHRUNK, resolution=shape.resolution)
    assert latex_value(kind.formula, symbols_of(shape)) == pytest.approx(kind.macs(shape))


def symbols_of(shape: BlockShape) -> dict[str, int]:
    """Return the numbers that the formulas are about."""
    side, hidden = -(-shape.resolution // shape.stride), max(1, shape.out_channels // 4)
    return {
        **{"C_in": shape.in_channels, "C_out": shape.out_channels, "K": shape.kernel, "g": shape.groups},
        **{"H": shape.resolution, "W": shape.resolution, "H_out": side, "W_out": side},
        **{"t": shape.expansion, "t_above_1": shape.expansion > 1, "s_above_1": shape.stride > 1},
        "changes": shape.stride > 1 or shape.in_channels != shape.out_channels,
        "G_1": adaptive_groups(hidden, shape.expansion * shape.in_channels),
        "G_2": adaptive_groups(hidden, shape.out_channels),
    }


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_obeys_its_knobs_and_no_others(name: str) -> None:
    kind = BLOCKS[name]
    assert set(kind.knobs) <= {*OTHER, "resolution"}
    base = SHRUNK
    for knob, value in OTHER.items():
        changed = replace(base, **{knob: value if getattr(base, knob) != value else 1})
        if knob == "stride" and name == "shuffle_v1":
            changed = replace(changed, out_channels=24)  # at stride 1 its channels stay
        before, after = (described(kind.build(shape)) for shape in (base, changed))
        assert (before != after) == (knob in kind.knobs), knob


def described(block: nn.Module) -> list[str]:
    """Return every layer of a block in words."""
    return [repr(layer) for layer in block.modules() if not any(layer.children())]


@pytest.mark.parametrize("shape", [KEPT, SHRUNK], ids=["kept", "shrunk"])
@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_can_be_traced(name: str, shape: BlockShape) -> None:
    block, x = BLOCKS[name].build(shape).eval(), torch.randn(2, 24, 9, 9)
    assert torch.equal(trace_steps(block)(x), block(x))


@pytest.mark.slow
@pytest.mark.parametrize("shape", [KEPT, SHRUNK], ids=["kept", "shrunk"])
@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_computes_the_same_in_onnx_runtime(name: str, shape: BlockShape) -> None:
    block, x = BLOCKS[name].build(shape).eval(), torch.randn(3, 24, 9, 9)
    content = build_onnx(block, x[:1])
    theirs = OnnxRuntime().load(content).run(x.numpy())
    np.testing.assert_allclose(theirs, block(x).detach().numpy(), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [KEPT, SHRUNK], ids=["kept", "shrunk"])
@pytest.mark.parametrize("name", BLOCKS)
def test_channels_can_be_removed_from_a_network_of_the_block(name: str, shape: BlockShape) -> None:
    block = BLOCKS[name].build(shape)
    x = torch.randn(2, 24, 9, 9)
    made = block(x).shape[1]
    net = nn.Sequential(nn.Conv2d(24, 24, 1), block, nn.Conv2d(made, 5, 1)).eval()
    graph = DependencyGraph(net, x)
    assert graph.groups
    smaller = remove(graph, {group.name: range(group.channels // 2) for group in graph.groups})
    assert smaller(x).shape == net(x).shape
    assert size(smaller) < size(net)


def size(model: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(prod(parameter.shape) for parameter in model.parameters())
