"""Reaching a number of MACs: the smallest selection that does, and targets out of reach."""

import pytest
import torch

from course_lib.benchmarking.macs import conv2d_macs, linear_macs
from course_lib.errors import SettingError
from course_lib.pruning.importance import l1_norm
from course_lib.pruning.macs_target import macs_of, select_for_macs
from course_lib.pruning.ranking import SelectionConfig
from course_lib.pruning.structure.dependency import DependencyGraph
from course_lib.pruning.structure.removal import remove
from tests.pruning.small_nets import chain, residual

INPUTS = torch.zeros(1, 1, 8, 8)


def chain_macs(first, second):
    """Return the MACs of `chain` with these numbers of channels, by the formulas."""
    convolutions = conv2d_macs(1, first, (3, 3), (8, 8)) + conv2d_macs(first, second, (3, 3), (8, 8))
    return convolutions + linear_macs(16 * second, 2)


def removed(graph, chosen):
    return {group.name: len(chosen.get(group.name, ())) for group in graph.groups}


def test_macs_by_hand():
    assert macs_of(chain(), INPUTS) == chain_macs(6, 4) == 64 * 9 * (6 + 24) + 128


@pytest.mark.parametrize("share", [0.9, 0.5, 0.3])
def test_the_smallest_selection_is_found(share):
    graph = DependencyGraph(chain(), INPUTS)
    target = round(share * chain_macs(6, 4))
    config = SelectionConfig(scope="local")
    chosen = removed(graph, select_for_macs(graph, l1_norm(graph), target, INPUTS, config))
    assert chain_macs(6 - chosen["first"], 4 - chosen["second"]) <= target
    # The steps of the local ranking are ratios k/6 of 0.9, rounded to channels; the one before is too large.
    sizes = [(min(round(0.15 * k * 6), 5), min(round(0.15 * k * 4), 3)) for k in range(7)]
    place = sizes.index((chosen["first"], chosen["second"]))
    assert place == 0 or chain_macs(6 - sizes[place - 1][0], 4 - sizes[place - 1][1]) > target


@pytest.mark.parametrize("multiple", [1, 2])
@pytest.mark.parametrize("make", [chain, residual])
def test_the_model_meets_the_target_and_one_channel_less_would_not(make, multiple):
    graph = DependencyGraph(make(), INPUTS)
    config = SelectionConfig(multiple_of=multiple)
    target = macs_of(graph.graph, INPUTS) // 2
    chosen = select_for_macs(graph, l1_norm(graph), target, INPUTS, config)
    assert macs_of(remove(graph, chosen), INPUTS) <= target
    scores = {group.name: l1_norm(graph)(group) for group in graph.groups}
    relative = {name: scores[name] / scores[name].mean() for name in scores}
    if multiple == 1:
        last = max(
            ((relative[name][channel], name, channel) for name in chosen for channel in chosen[name]),
            key=lambda entry: float(entry[0]),
        )
        less = {name: [c for c in own if (name, c) != last[1:]] for name, own in chosen.items()}
        assert macs_of(remove(graph, less), INPUTS) > target


def test_nothing_goes_where_nothing_has_to():
    graph = DependencyGraph(chain(), INPUTS)
    assert select_for_macs(graph, l1_norm(graph), chain_macs(6, 4), INPUTS) == {}


def test_a_target_out_of_reach_is_refused():
    graph = DependencyGraph(chain(), INPUTS)
    config = SelectionConfig(max_ratio_per_group=0.5, protected=("first",))
    with pytest.raises(SettingError) as error:
        select_for_macs(graph, l1_norm(graph), 1000, INPUTS, config)
    assert str(error.value) == (
        f"At most 1000 MACs are wanted, but {chain_macs(6, 2)} remain when all goes that may "
        "(max_ratio_per_group=0.5, 1 protected layers); raise the target or the limit."
    )
