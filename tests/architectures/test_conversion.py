from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from course_lib.architectures.blocks.separable import separable_macs, separable_ratio
from course_lib.architectures.conversion import to_mobile_blocks
from course_lib.architectures.depthwise import SeparableNet
from course_lib.architectures.plain_conv import PlainConvNet
from course_lib.architectures.residual import BasicBlock, ResidualNet
from course_lib.benchmarking.macs import profile_layers
from course_lib.data.torchvision_import import import_torchvision
from course_lib.errors import ModelError, SettingError

IMAGE = torch.zeros(1, 1, 28, 28)


@pytest.fixture
def model() -> ResidualNet:
    return ResidualNet(8, ((8, 1), (16, 2)), 10)


def test_the_worked_example() -> None:
    (first, second) = to_mobile_blocks(BasicBlock(16, 16, 1), torch.zeros(1, 16, 28, 28)).changes
    assert (first.path, second.path) == ("conv1.0", "conv2.0")
    assert (first.params_before, first.params_after) == (2304, 400)
    assert (first.macs_before, first.macs_after) == (1_806_336, 313_600)
    assert first.macs_after == separable_macs(16, 16, 28)
    assert first.macs_before / first.macs_after == separable_ratio(3, 16)


def test_what_is_reported_is_what_the_profiler_counts(model: ResidualNet) -> None:
    done = to_mobile_blocks(model, IMAGE)
    before, after = profile_layers(model, IMAGE), profile_layers(done.model, IMAGE)
    assert before.macs - after.macs == sum(each.macs_before - each.macs_after for each in done.changes)
    assert before.params - after.params == sum(
        each.params_before - each.params_after for each in done.changes
    )
    layers = {layer.name: layer.macs for layer in after.layers}
    for change in done.changes:
        assert layers[f"{change.path}.0"] + layers[f"{change.path}.1"] == change.macs_after


def test_everything_but_the_kernels_stays_and_the_model_itself_too(model: ResidualNet) -> None:
    before = deepcopy(model.state_dict())
    done = to_mobile_blocks(model.train(), IMAGE)
    exchanged = {f"{change.path}.weight" for change in done.changes}
    new = done.model.state_dict()
    for name, value in before.items():
        assert torch.equal(model.state_dict()[name], value)
        if name not in exchanged:
            assert torch.equal(new[name], value)
    assert model.training
    assert done.model.training
    assert type(done.model) is ResidualNet
    done.model(torch.randn(2, 1, 28, 28)).sum().backward()
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(parameter.grad is not None for parameter in done.model.parameters())


def test_kernels_that_are_separable_already_keep_every_score() -> None:
    model = ResidualNet(4, ((4, 1), (8, 2)), 10).double().eval()
    for block in model.blocks:
        for conv in (block.conv1[0], block.conv2[0]):
            out_channels, in_channels = conv.weight.shape[:2]
            filters = torch.randn(1, in_channels, 3, 3, dtype=torch.float64)
            conv.weight.data = filters * torch.randn(out_channels, in_channels, 1, 1, dtype=torch.float64)
    x = torch.randn(3, 1, 28, 28, dtype=torch.float64)
    done = to_mobile_blocks(model, x)
    torch.testing.assert_close(done.model(x), model(x))
    assert all(change.relative_error < 1e-12 for change in done.changes)


class Tied(nn.Module):
    """A block whose convolutions share their weights, and not their biases; another block may lend them."""

    def __init__(self, lender: "Tied | None" = None) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(8, 8, 3, padding=1) for _ in range(2))
        self.conv1.weight = lender.conv1.weight if lender else self.conv1.weight
        self.conv2.weight = self.conv1.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv2(torch.relu(self.conv1(x)))  # type: ignore[no-any-return]


def test_weights_that_two_layers_share_count_once() -> None:
    model, x = Tied(), torch.zeros(1, 8, 6, 6)
    done = to_mobile_blocks(model, x)
    # 8·8·9 weights and two times 8 biases before; two pairs of 8·9 + 8·8 weights and 8 biases after.
    assert [(change.params_before, change.params_after) for change in done.changes] == [(8, 144), (584, 144)]
    for side, whole in (("params_before", model), ("params_after", done.model)):
        assert sum(getattr(change, side) for change in done.changes) == sum(
            parameter.numel() for parameter in whole.parameters()
        )
    first = Tied()
    two = to_mobile_blocks(nn.Sequential(first, Tied(first)), x, kept=("0",))
    assert [change.params_before for change in two.changes] == [8, 8]  # the first block keeps the weights
    # Three filters: 2·3·8·(9 + 8) = 816 weights are fewer than 2·576, and more than the 576 there are.
    assert to_mobile_blocks(model, x, multiplier=3).changes == ()


@given(st.integers(2, 12), st.integers(2, 12), st.sampled_from([1, 2]), st.integers(1, 3))
@settings(max_examples=25)
def test_nothing_gets_dearer_and_more_filters_come_closer(channels, out_channels, stride, multiplier) -> None:
    model, x = BasicBlock(channels, out_channels, stride), torch.randn(1, channels, 6, 6)
    done = to_mobile_blocks(model, x, multiplier=multiplier)
    assert done.model(x).shape == model(x).shape
    assert profile_layers(done.model, x).macs <= profile_layers(model, x).macs
    assert len(done.changes) + 2 * len(done.left_alone) == 2
    if done.changes and multiplier > 1:
        fewer = to_mobile_blocks(model, x, multiplier=multiplier - 1)
        for more, less in zip(done.changes, fewer.changes, strict=True):
            assert more.relative_error <= less.relative_error


@pytest.mark.slow
def test_resnet18_of_torchvision_is_converted() -> None:
    import_torchvision()
    from torchvision.models import resnet18

    model, x = resnet18(num_classes=10).eval(), torch.randn(1, 3, 64, 64)
    done = to_mobile_blocks(model, x)
    assert len(done.changes) == 16
    assert done.left_alone == ()
    assert done.model(x).shape == (1, 10)
    saved = sum(change.macs_before - change.macs_after for change in done.changes)
    assert profile_layers(model, x).macs - saved == profile_layers(done.model, x).macs
    last = done.changes[-1]
    assert (last.path, last.block) == ("layer4.1.conv2", "layer4.1")
    assert (last.params_before, last.params_after) == (9 * 512 * 512, 9 * 512 + 512 * 512)


def test_blocks_that_stay_are_named_with_the_reason(model: ResidualNet) -> None:
    done = to_mobile_blocks(model, IMAGE, kept=("blocks.0",))
    assert [change.block for change in done.changes] == ["blocks.1", "blocks.1"]
    assert str(done).endswith("\nblocks.0 stays as it is: asked to stay.")
    small = to_mobile_blocks(BasicBlock(1, 1, 1), torch.zeros(1, 1, 4, 4))
    assert str(small) == (
        "No block was converted.\n"
        "add stays as it is: a separable pair with multiplier 1 has no fewer weights."
    )
    mobile = to_mobile_blocks(SeparableNet(4, ((4, 1),), 10), IMAGE)
    assert "blocks.0 stays as it is: its branch has the convolutions 3×3 in 4 groups, 1×1" in str(mobile)
    assert str(to_mobile_blocks(PlainConvNet((2, 2, 2), 10), IMAGE)) == "No block was converted."


def test_the_table_sums_up_what_changed(model: ResidualNet) -> None:
    done = to_mobile_blocks(model, IMAGE)
    first, *_, total = done.table_rows()
    assert first["layer"] == "blocks.0.conv1.0"
    assert (first["parameters before"], first["parameters"]) == ("576", "136")
    assert first["error of the kernel"] == f"{done.changes[0].relative_error:.1%}"
    assert total["MACs"] == f"{sum(change.macs_after for change in done.changes):,}"
    assert done._repr_markdown_().startswith("| layer | block |")


def test_bad_input_gets_one_sentence(model: ResidualNet) -> None:
    with pytest.raises(SettingError, match=r"^multiplier is 0; expected at least 1 filter"):
        to_mobile_blocks(model, IMAGE, multiplier=0)
    for wrong in (1.5, float("nan"), "2", None, True):
        with pytest.raises(
            SettingError, match=rf"^multiplier is {wrong!r}; expected at least 1 filter for e"
        ):
            to_mobile_blocks(model, IMAGE, multiplier=wrong)
    with pytest.raises(
        SettingError,
        match=r"^kept is the text 'blocks\.0'; pass a sequence of paths, for example kept=\('blocks\.0',\)",
    ):
        to_mobile_blocks(model, IMAGE, kept="blocks.0")
    with pytest.raises(
        SettingError, match=r"^kept names blocks.7, which is no .* its blocks are blocks.0, bl"
    ):
        to_mobile_blocks(model, IMAGE, kept=("blocks.7",))
    with pytest.raises(ModelError, match=r"^ResidualNet could not run on the example inputs \(.*\): pass"):
        to_mobile_blocks(model, torch.zeros(1, 3, 28, 28))
    nn.init.constant_(model.blocks[0].conv1[0].weight, torch.inf)
    with pytest.raises(ModelError, match=r"^A kernel of shape \(8, 8, 3, 3\) holds NaN or infinite values"):
        to_mobile_blocks(model, IMAGE)
