"""What is behind the channel slider: selection by cached scores, the graph that is left, what is refused."""

import numpy as np
import pytest
import torch
from torch import nn

from course_lib.errors import ModelError, UnknownNameError
from course_lib.explore.channel_choice import ChannelChoice, channel_choice
from course_lib.explore.model_source import onnx_of
from course_lib.explore.setting import IMPORTANCES
from course_lib.pruning.importance import l1_norm
from course_lib.pruning.selection import select_channels


@pytest.fixture(scope="module")
def choice(small_net: nn.Module) -> ChannelChoice:
    return channel_choice(small_net, onnx_of(small_net, (1, 8, 8)), (1, 8, 8))


def test_what_goes_is_what_the_selection_says(choice: ChannelChoice, small_net: nn.Module) -> None:
    graph = choice.graph.dependencies
    chosen = select_channels(graph.groups, l1_norm(graph), 0.5)
    smaller, left = choice.cut(0.5, "l1", 1)
    kept = [filter_ for filter_ in range(6) if filter_ not in chosen["conv"]]
    expected = small_net.state_dict()["conv.weight"].numpy()[kept]
    np.testing.assert_array_equal(smaller.weights["conv.weight"].values, expected)
    assert (left.kept, left.total) == (3, 6)


def test_what_was_cut_is_remembered(choice: ChannelChoice) -> None:
    assert choice.cut(0.5, "l2", 1) is choice.cut(0.5, "l2", 1)


@pytest.mark.parametrize("importance", IMPORTANCES)
def test_each_importance_removes_the_same_number(choice: ChannelChoice, importance: str) -> None:
    _, left = choice.cut(0.34, importance, 1)
    assert left.kept == 4


def test_kept_channels_are_rounded_and_small_groups_stay_whole(choice: ChannelChoice) -> None:
    assert choice.cut(0.5, "l1", 4)[1].kept == 4
    assert choice.cut(0.5, "l1", 8)[1].kept == 6


def test_an_importance_without_its_layers_is_refused() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)).eval()
    choice = channel_choice(model, onnx_of(model, (4,)), (4,))
    assert choice.importances == ("l1", "l2", "random")
    with pytest.raises(ModelError, match="pass no batch norm with a scale; rank them by another importance"):
        choice.cut(0.5, "bn_scale", 1)
    with pytest.raises(UnknownNameError, match="no importance called 'taylor'"):
        choice.cut(0.5, "taylor", 1)


def test_a_model_without_channels_to_remove_is_refused() -> None:
    model = nn.Sequential(nn.Linear(4, 2)).eval()
    with pytest.raises(ModelError, match="Sequential has no channels that can be removed; ask Dependency"):
        channel_choice(model, onnx_of(model, (4,)), (4,))
    assert isinstance(model[0], nn.Linear)
    assert model(torch.zeros(1, 4)).shape == (1, 2)
