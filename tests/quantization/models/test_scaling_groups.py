import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.architectures import create_model
from course_lib.quantization.models.fold import fold_batch_norms
from course_lib.quantization.models.graph import trace
from course_lib.quantization.models.scaling_groups import ScalingGroup, scale_group, scaling_groups


class Sum(nn.Module):
    """The worked example, with a pooled classifier; ``activation`` stands behind the first layer."""

    def __init__(self, activation: nn.Module, flatten_from: int = 1) -> None:
        super().__init__()
        self.first, self.other = nn.Conv2d(1, 4, 1), nn.Conv2d(1, 4, 1)
        self.activation, self.flatten_from = activation, flatten_from
        self.second = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        summed = self.activation(self.first(x)) + self.other(x)
        return self.second(torch.flatten(F.adaptive_avg_pool2d(summed, 1), self.flatten_from))


def groups(model: nn.Module) -> list[ScalingGroup]:
    return list(scaling_groups(fold_batch_norms(trace(model))))


def test_worked_value() -> None:
    steps = ("first", "activation", "other", "add", "adaptive_avg_pool2d", "flatten")
    assert groups(Sum(nn.ReLU())) == [ScalingGroup(("first", "other"), ("second",), steps)]


@pytest.mark.parametrize("activation", [nn.ReLU6(), nn.GELU(), nn.Sigmoid()])
def test_a_bent_line_does_not_let_factors_through(activation: nn.Module) -> None:
    assert groups(Sum(activation)) == []


def test_flattening_other_axes_ends_a_group() -> None:
    assert groups(Sum(nn.ReLU(), flatten_from=2)) == []


def test_a_flatten_of_several_pixels_makes_more_features_than_channels() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    assert groups(model) == []


def test_a_layer_called_twice_is_left_out() -> None:
    shared = nn.Conv2d(4, 4, 1)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 1), nn.ReLU(), shared, nn.ReLU(), shared, nn.ReLU(), nn.Conv2d(4, 2, 1)
    )
    assert groups(model) == []


def test_grouped_readers_are_left_out() -> None:
    assert groups(nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1, groups=2))) == []


def test_residual_blocks_share_one_group() -> None:
    found = groups(create_model("residual"))
    last = next(group for group in found if "classifier" in group.readers)
    assert last.makers == ("blocks.3.conv2.0", "blocks.3.shortcut.0", "blocks.4.conv2.0")
    assert last.readers == ("blocks.4.conv1.0", "classifier")


def test_layer_norms_of_a_transformer_make_groups() -> None:
    found = groups(create_model("vision_transformer"))
    paths = [(group.makers, group.readers) for group in found]
    assert (("blocks.0.norm1",), ("blocks.0.attention.query_key_value",)) in paths
    assert (("blocks.0.norm2",), ("blocks.0.mlp.0",)) in paths
    assert not any("patches" in group.makers for group in found)  # positions are added, which nothing scales


def test_scaling_by_hand() -> None:
    graph = fold_batch_norms(trace(nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1))))
    nn.init.constant_(graph.get_submodule("0").weight, 6.0)
    nn.init.constant_(graph.get_submodule("0").bias, 4.0)
    nn.init.constant_(graph.get_submodule("2").weight, 1.0)
    (group,) = scaling_groups(graph)
    scale_group(graph, group, torch.tensor([2.0, 1.0]))
    assert graph.get_submodule("0").weight.flatten().tolist() == [3.0, 6.0]
    assert graph.get_submodule("0").bias.tolist() == [2.0, 4.0]
    assert graph.get_submodule("2").weight.flatten().tolist() == [2.0, 1.0]
