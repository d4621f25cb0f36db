import pytest
import torch

from course_lib.errors import UnknownNameError
from course_lib.explore.microscope_scores import IMPORTANCES, ChannelScores
from tests.explore.microscope_net import HEAD, STEM, tied_data, tied_engine, tied_net


@pytest.fixture(scope="module")
def scores() -> ChannelScores:
    channels = tied_engine().channels
    return ChannelScores(channels.dependencies, channels.groups, tied_data())


@pytest.mark.parametrize("importance", IMPORTANCES)
def test_each_importance_ranks_every_group_it_can(scores: ChannelScores, importance: str):
    by_group = scores.by(importance)
    assert list(by_group) == [STEM, HEAD]
    for group, channels in ((by_group[STEM], 8), (by_group[HEAD], 6)):
        assert sorted(group.order) == list(range(channels))
        if not group.reason:
            ranked = [group.values[channel] for channel in group.order]
            assert ranked == sorted(ranked)
    assert scores.by(importance) is by_group


def test_the_l1_norm_worked_with_torch(scores: ChannelScores):
    net = tied_net()
    rows = net.head.weight.abs().sum((1, 2, 3))
    columns = net.classifier.weight.abs().reshape(3, 6, 36).sum((0, 2))
    assert torch.allclose(torch.tensor(scores.by("l1")[HEAD].values), rows + columns, rtol=1e-5)


def test_the_mean_activation_worked_with_torch(scores: ChannelScores):
    net, inputs = tied_net(), torch.from_numpy(tied_data().inputs())
    with torch.no_grad():
        stem = torch.relu(net.stem(inputs))
        read = torch.relu(net.head(net.depthwise(stem + net.norm(net.block(stem)))))
    expected = read.mean((0, 2, 3))
    ours = torch.tensor(scores.by("mean_activation")[HEAD].values)
    assert torch.allclose(ours / ours.sum(), expected / expected.sum(), rtol=1e-4)


def test_a_group_without_scores_says_why(scores: ChannelScores):
    head = scores.by("bn_scale")[HEAD]
    assert head.values == ()
    assert head.order == tuple(range(6))
    assert head.reason.startswith("The channels of 'head' pass no batch norm with a scale;")
    assert scores.by("bn_scale")[STEM].reason == ""


def test_an_unknown_importance_lists_the_known_ones(scores: ChannelScores):
    with pytest.raises(UnknownNameError, match="no importance called 'l3'"):
        scores.by("l3")
