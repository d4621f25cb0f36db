"""What layers record, worked by hand; all layers with a rule at least keep channels apart."""

import pytest
import torch
from torch import nn

from course_lib.pruning.structure.dependency import DependencyGraph
from course_lib.pruning.structure.layer_rules import LAYER_RULES, is_depthwise
from course_lib.pruning.structure.removal import remove

WITHIN_CHANNELS = [
    *(nn.ReLU(), nn.GELU(), nn.SiLU(), nn.Softplus(), nn.PReLU(), nn.PReLU(6), nn.Dropout(), nn.Identity()),
    *(nn.BatchNorm2d(6), nn.InstanceNorm2d(6, affine=True, track_running_stats=True), nn.GroupNorm(6, 6)),
    *(
        nn.LayerNorm(8),
        nn.Softmax(-1),
        nn.MaxPool2d(2),
        nn.AvgPool2d(3),
        nn.AdaptiveMaxPool2d(1),
        nn.LPPool2d(2, 2),
    ),
    *(
        nn.Upsample(scale_factor=2),
        nn.Linear(8, 3),
        nn.Conv2d(6, 6, 3, groups=6),
        nn.Conv2d(6, 18, 1, groups=6),
    ),
]


def groups_around(layer: nn.Module) -> list[int]:
    """Return the channels of each group of two convolutions with a layer between them; removal is proved."""
    torch.manual_seed(0)
    outputs = layer.out_channels if isinstance(layer, nn.Conv2d) else 6
    model = nn.Sequential(nn.Conv2d(2, 6, 1), layer, nn.Conv2d(outputs, 4, 1))
    graph = DependencyGraph(model, torch.randn(2, 2, 8, 8))
    if graph.groups:
        remove(graph, {group.name: [1] for group in graph.groups})
    return [group.channels for group in graph.groups]


@pytest.mark.parametrize("layer", WITHIN_CHANNELS, ids=repr)
def test_layers_that_keep_channels_apart(layer: nn.Module) -> None:
    assert groups_around(layer) == [6]


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.GroupNorm(3, 6), [3]),
        (nn.GroupNorm(1, 6), []),
        (nn.LayerNorm([6, 8, 8]), []),
        (nn.Softmax(1), []),
        (nn.ChannelShuffle(2), [3]),
        (nn.Conv2d(6, 4, 1, groups=2), [3, 2]),
        (nn.Conv2d(6, 5, 1), [6, 5]),
        (nn.PixelShuffle(1), []),
    ],
    ids=repr,
)
def test_layers_that_join_channels(layer: nn.Module, expected: list[int]) -> None:
    assert groups_around(layer) == expected


def test_one_channel_is_not_depthwise() -> None:
    assert not is_depthwise(nn.Conv2d(1, 8, 3))
    assert is_depthwise(nn.Conv2d(2, 8, 3, groups=2))
    assert not is_depthwise(nn.Linear(1, 1))


def test_a_subclass_may_do_something_else() -> None:
    class Standardized(nn.Conv2d):
        pass

    assert Standardized not in LAYER_RULES


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("batched", [True, False])
def test_convolutions_of_all_dimensions(dimensions: int, batched: bool) -> None:
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dimensions - 1]
    model = nn.Sequential(kind(2, 4, 1), nn.ReLU(), kind(4, 3, 1))
    shape = (*((2,) if batched else ()), 2, *(4,) * dimensions)
    graph = DependencyGraph(model, torch.randn(shape))
    pruned = remove(graph, {"0": [0, 3]})
    assert str(pruned.get_submodule("2")).startswith(f"Conv{dimensions}d(2, 3,")


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.Conv2d(6, 12, 3, groups=6), "Conv2d(4, 8, kernel_size=(3, 3), stride=(1, 1), groups=4)"),
        (nn.GroupNorm(3, 6), "GroupNorm(2, 4, eps=1e-05, affine=True, bias=True)"),
        (nn.BatchNorm2d(6), str(nn.BatchNorm2d(4))),
        (nn.PReLU(6), "PReLU(num_parameters=4)"),
        (nn.ConvTranspose2d(6, 12, 2), "ConvTranspose2d(4, 12, kernel_size=(2, 2), stride=(1, 1))"),
        (nn.Conv2d(6, 12, 1, groups=2), "Conv2d(4, 12, kernel_size=(1, 1), stride=(1, 1), groups=2)"),
    ],
    ids=repr,
)
def test_smaller_layers_know_their_sizes(layer: nn.Module, text: str) -> None:
    model = nn.Sequential(nn.Conv2d(2, 6, 1), layer, nn.Conv2d(getattr(layer, "out_channels", 6), 4, 1))
    graph = DependencyGraph(model, torch.randn(2, 2, 8, 8))
    group = graph.group_of("0")
    pruned = remove(graph, {group.name: [0] if group.channels == 3 else [0, 1]})
    assert repr(pruned.get_submodule("1")) == text
