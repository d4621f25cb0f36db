"""The rounds of unstructured pruning: their masks, what is kept dense, and what counts."""

import pytest
import torch

from course_lib.errors import UnknownNameError
from course_lib.pruning import Schedule, layer_adaptive_masks, magnitude_masks, sparsity_of
from course_lib.pruning.masked import prunable_weights
from course_lib.pruning.weight_pruner import WeightPruner
from tests.pruning.small_nets import chain

PRUNER = WeightPruner(Schedule(0.8, 4), kept=("head.weight",))


def weights_of(net):
    return {name: weight for name, weight in prunable_weights(net).items() if name != "head.weight"}


def test_a_round_prunes_what_the_schedule_says():
    net = chain()
    choice = PRUNER.choose(net, 2, net)
    expected = magnitude_masks(weights_of(net), 0.7)
    assert list(choice) == ["first.weight", "second.weight"]
    assert all(torch.equal(mask, expected[name]) for name, mask in choice.items())
    pruned = PRUNER.finish(PRUNER.apply(net, choice))
    assert PRUNER.amount(pruned, net) == pytest.approx(0.7, abs=0.5 / 270)
    assert sparsity_of(pruned.head.weight.detach()) == 0
    assert PRUNER.amount(net, net) == 0
    assert PRUNER.rounds == 4


def test_a_later_round_brings_nothing_back():
    net = chain()
    first = PRUNER.choose(net, 1, net)
    pruned = PRUNER.finish(PRUNER.apply(net, first))
    second = PRUNER.choose(pruned, 2, net)
    for name, mask in second.items():
        assert not (mask & ~first[name]).any()


def test_local_gives_each_layer_the_same_sparsity():
    net = chain()
    choice = WeightPruner(Schedule(0.5, 1), scope="local").choose(net, 1, net)
    assert {name: sparsity_of(mask) for name, mask in choice.items()} == {
        "first.weight": 0.5,
        "second.weight": 0.5,
        "head.weight": 0.5,
    }


def test_layers_are_compared_by_their_scores():
    net = chain()
    with torch.no_grad():
        net.first.weight *= 1e-3
    choice = WeightPruner(Schedule(0.5, 1), scope="layer_adaptive").choose(net, 1, net)
    assert all(
        torch.equal(mask, layer_adaptive_masks(prunable_weights(net), 0.5)[name])
        for name, mask in choice.items()
    )
    assert sparsity_of(choice["first.weight"]) < 0.9
    assert sparsity_of(magnitude_masks(prunable_weights(net), 0.5)["first.weight"]) == 1


def test_settings_are_those_a_checkpoint_differs_in():
    assert PRUNER.settings() != WeightPruner(Schedule(0.8, 5), kept=("head.weight",)).settings()
    assert PRUNER.settings() != WeightPruner(Schedule(0.8, 4)).settings()
    assert PRUNER.settings() == WeightPruner(Schedule(0.8, 4), kept=("head.weight",)).settings()


def test_an_unknown_weight_to_keep_lists_the_known():
    with pytest.raises(UnknownNameError) as error:
        WeightPruner(Schedule(0.8), kept=("head",)).choose(chain(), 1, chain())
    assert str(error.value) == (
        "There is no weight called 'head'; the known ones are first.weight, head.weight, second.weight."
    )
