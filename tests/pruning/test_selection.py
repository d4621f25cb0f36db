"""Choosing channels by a ratio: counts, protection, and the sentences for what cannot be done."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_lib.errors import SettingError, UnknownNameError
from course_lib.pruning.importance import l1_norm
from course_lib.pruning.selection import SelectionConfig, select_channels, select_in_layers
from course_lib.pruning.structure.group import Group, Slices
from tests.pruning.small_nets import chain, chain_groups
from tests.pruning.test_importance import graph_of
from tests.pruning.test_ranking import scored


def three():
    """Return groups a (tied to t), b and c with rising scores."""
    two, four = ((0,), (1,)), ((0,), (1,), (2,), (3,))
    groups = (
        Group((Slices("a", "out", four), Slices("t", "out", four), Slices("b", "in", four))),
        Group((Slices("b", "out", two), Slices("c", "in", two))),
        Group((Slices("c", "out", four), Slices("d", "in", four))),
    )
    return groups, lambda group: torch.arange(group.channels) + 1.0


def test_the_worked_example():
    groups, importance = scored({"a": [1, 3], "b": [20, 40, 60]})
    assert select_channels(groups, importance, 0.4) == {"a": (0,), "b": (0,)}


def test_local_takes_the_same_ratio_of_each():
    groups, importance = scored({"a": [4, 3, 2, 1], "b": [100, 200, 300, 50]})
    config = SelectionConfig(scope="local", normalize="none")
    assert select_channels(groups, importance, 0.5, config) == {"a": (2, 3), "b": (0, 3)}
    assert select_channels(groups, importance, 0.5, SelectionConfig(normalize="none")) == {
        "a": (1, 2, 3),
        "b": (3,),
    }


@given(
    st.dictionaries(st.sampled_from("abc"), st.lists(st.floats(0, 9), min_size=4, max_size=9), min_size=1),
    st.floats(0, 0.6),
)
def test_exactly_the_rounded_fraction_goes(scores, ratio):
    groups, importance = scored(scores)
    chosen = select_channels(groups, importance, ratio)
    assert sum(map(len, chosen.values())) == round(ratio * sum(map(len, scores.values())))


def test_the_channels_of_a_network_are_its_smallest():
    graph = graph_of(chain(), chain_groups())
    chosen = select_channels(graph.groups, l1_norm(graph), 0.5, SelectionConfig(scope="local"))
    for group in graph.groups:
        scores = l1_norm(graph)(group)
        gone = torch.zeros(group.channels, dtype=torch.bool)
        gone[list(chosen[group.name])] = True
        assert scores[gone].max() <= scores[~gone].min()
        assert int(gone.sum()) == group.channels // 2


def test_protected_groups_do_not_count():
    groups, importance = three()
    chosen = select_channels(groups, importance, 0.5, SelectionConfig(protected=("t",)))
    assert "a" not in chosen
    assert sum(map(len, chosen.values())) == 3


@pytest.mark.parametrize("ratio", [1, 1.5, -0.1, float("nan")])
def test_a_ratio_out_of_range_is_refused(ratio):
    with pytest.raises(SettingError) as error:
        select_channels(*three(), ratio)
    assert str(error.value) == (
        f"ratio is {ratio}, but it is the fraction of channels to remove, from 0 up to but not including 1; "
        "try ratio=0.5."
    )
    with pytest.raises(SettingError) as error:
        select_in_layers(*three(), {"c": ratio})
    assert str(error.value) == (
        f"The ratio for 'c' is {ratio}, but it is the fraction of its channels to remove, from 0 up to but "
        "not including 1; try 0.5."
    )


def test_pruning_everything_away_is_refused():
    with pytest.raises(SettingError) as error:
        select_channels(*three(), 0.9, SelectionConfig(protected=("t",)))
    assert str(error.value) == (
        "ratio 0.9 asks for 5 of the 6 channels that are not protected, but with max_ratio_per_group=0.9 and "
        "one channel left in each group at most 4 can go; lower the ratio or raise the limit."
    )
    with pytest.raises(SettingError) as error:
        select_channels(*three(), 0.9, SelectionConfig(scope="local", max_ratio_per_group=0.8))
    assert str(error.value) == (
        "ratio 0.9 is above max_ratio_per_group=0.8, the most that may go from one layer; lower the ratio or "
        "raise the limit."
    )


def test_named_layers_by_hand():
    groups, importance = three()
    assert select_in_layers(groups, importance, {"c": 0.5, "b": 0.0}) == {"c": (0, 1)}
    # The group is named by its first layer, whichever of them was asked for; one channel stays.
    assert select_in_layers(groups, importance, {"t": 0.99}) == {"a": (0, 1, 2)}
    assert select_in_layers(groups, importance, {"a": 0.25, "t": 0.25}) == {"a": (0,)}
    assert select_in_layers(groups, importance, {"c": 0.25}, protected=("a",)) == {"c": (0,)}


def test_a_layer_tied_to_a_protected_one_is_refused():
    with pytest.raises(SettingError) as error:
        select_in_layers(*three(), {"a": 0.5}, protected=("t",))
    assert str(error.value) == (
        "'a' cannot be pruned: it shares its channels with 't', which must stay whole; take 't' out of "
        "protected, or leave 'a' alone."
    )
    with pytest.raises(SettingError) as error:
        select_in_layers(*three(), {"t": 0.5}, protected=("t",))
    assert str(error.value) == (
        "'t' cannot be pruned: it is protected itself, which must stay whole; take 't' out of protected, or "
        "leave 't' alone."
    )


def test_two_ratios_for_one_group_are_refused():
    with pytest.raises(SettingError) as error:
        select_in_layers(*three(), {"a": 0.5, "t": 0.25})
    assert str(error.value) == (
        "'t' shares its channels with 'a', which has another ratio; give both 0.5, or name one of them."
    )


def test_unknown_layers_list_the_known():
    with pytest.raises(UnknownNameError) as error:
        select_in_layers(*three(), {"d": 0.5})
    assert str(error.value) == (
        "There is no layer with channels to prune called 'd'; the known ones are a, b, c, t."
    )
    with pytest.raises(UnknownNameError, match="no layer called 'x'"):
        select_in_layers(*three(), {"c": 0.5}, protected=("x",))
