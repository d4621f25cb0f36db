"""The ranking behind every selection: its order, its limits, and that selections are nested."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_lib.errors import ModelError, SettingError, UnknownNameError
from course_lib.pruning.ranking import Ranking, SelectionConfig
from course_lib.pruning.structure.group import Group, Slices


def group_of(name, channels):
    indices = tuple((channel,) for channel in range(channels))
    return Group((Slices(name, "out", indices), Slices(f"after_{name}", "in", indices)))


def scored(scores):
    """Return groups and an importance with these scores."""
    groups = tuple(group_of(name, len(values)) for name, values in scores.items())
    return groups, lambda group: torch.tensor(scores[group.name], dtype=torch.float64)


scores_strategy = st.dictionaries(
    st.sampled_from("abcd"),
    st.lists(st.floats(0, 10), min_size=1, max_size=12),
    min_size=1,
)
configs = st.builds(
    SelectionConfig,
    scope=st.sampled_from(["global", "local"]),
    normalize=st.sampled_from(["mean", "max", "none"]),
    max_ratio_per_group=st.floats(0, 0.99),
    multiple_of=st.sampled_from([1, 2, 4]),
)


def test_the_worked_example():
    ranking = Ranking(*scored({"a": [1, 3], "b": [20, 40, 60]}), SelectionConfig())
    assert [ranking.at(step) for step in range(ranking.steps + 1)] == [
        {},
        {"a": (0,)},
        {"a": (0,), "b": (0,)},
        {"a": (0,), "b": (0, 1)},
    ]


@pytest.mark.parametrize(
    ("normalize", "expected"),
    [("mean", {"a": (1,)}), ("max", {"b": (0,)}), ("none", {"a": (1,)})],
)
def test_what_the_scores_are_divided_by_decides(normalize, expected):
    # The lowest of each are 4 / 6 and 7.4 / 10 relative to the means, 0.5 and 0.49 to the largest.
    ranking = Ranking(*scored({"a": [8, 4], "b": [7.4, 7.5, 15]}), SelectionConfig(normalize=normalize))
    assert ranking.at(1) == expected


def test_numbers_that_stay_are_rounded_to_multiples():
    ranking = Ranking(*scored({"a": list(range(32))}), SelectionConfig(multiple_of=8))
    left = [32 - len(ranking.at(step).get("a", ())) for step in range(ranking.steps + 1)]
    assert sorted(set(left)) == [8, 16, 24, 32]
    assert left[3] == 32
    assert left[5] == 24
    small = Ranking(*scored({"a": [1.0, 2.0, 3.0]}), SelectionConfig(multiple_of=8))
    assert small.at(small.steps) == {}


def test_rounding_does_not_pass_the_limit():
    config = SelectionConfig(multiple_of=8, max_ratio_per_group=0.7)
    ranking = Ranking(*scored({"a": list(range(32))}), config)
    assert len(ranking.at(ranking.steps)["a"]) == 16  # 22 may go, and leaving 8 would take 24


@given(scores_strategy, configs)
def test_selections_are_nested_and_keep_the_limits(scores, config):
    ranking = Ranking(*scored(scores), config)
    before = {}
    for step in range(ranking.steps + 1):
        chosen = ranking.at(step)
        for name, channels in chosen.items():
            assert (
                0
                < len(channels)
                <= config.max_ratio_per_group * len(scores[name]) + 1e-6 + 1 * (config.scope == "local")
            )
            assert len(channels) < len(scores[name])
            assert list(channels) == sorted(set(channels))
        assert all(set(channels) <= set(chosen[name]) for name, channels in before.items())
        before = chosen


@given(scores_strategy)
def test_the_global_selection_is_that_of_one_sorted_list(scores):
    config = SelectionConfig(normalize="none", max_ratio_per_group=0.99)
    ranking = Ranking(*scored(scores), config)
    for step in range(ranking.steps + 1):
        chosen = ranking.at(step)
        gone = [scores[name][channel] for name, channels in chosen.items() for channel in channels]
        # Each group's most important channel is out of the running.
        rivals = sorted(value for values in scores.values() for value in sorted(values)[:-1])
        assert sorted(gone) == rivals[:step]


def test_protected_layers_keep_all_that_is_tied_to_them():
    two = ((0,), (1,))
    tied = Group((Slices("a", "out", two), Slices("b", "out", two), Slices("c", "in", two)))
    ranking = Ranking([tied], lambda group: torch.ones(2), SelectionConfig(protected=("b",)))
    assert ranking.channels == ranking.steps == 0
    assert ranking.at(0) == {}
    # A layer that only reads the channels keeps its own outputs anyway.
    ranking = Ranking([tied], lambda group: torch.ones(2), SelectionConfig(protected=("c",)))
    assert ranking.at(1) == {"a": (0,)}


def test_an_unknown_protected_layer_lists_the_known():
    with pytest.raises(UnknownNameError) as error:
        Ranking(*scored({"a": [1.0]}), SelectionConfig(protected=("aa",)))
    assert (
        str(error.value) == "There is no layer called 'aa'; the known ones are a, after_a. Did you mean 'a'?"
    )


@pytest.mark.parametrize("scores", [torch.ones(3), torch.tensor([1.0, float("nan")]), torch.ones(2, 1)])
def test_scores_that_are_none_are_refused(scores):
    with pytest.raises(ModelError) as error:
        Ranking([group_of("a", 2)], lambda group: scores, SelectionConfig())
    assert str(error.value) == (
        f"The importance gave 'a' scores of shape {tuple(scores.shape)}, or some that are not finite; "
        "expected 2 finite numbers, one a channel."
    )


@pytest.mark.parametrize("limit", [1.0, -0.1, float("nan")])
def test_a_limit_out_of_range_is_refused(limit):
    with pytest.raises(SettingError) as error:
        SelectionConfig(max_ratio_per_group=limit)
    assert str(error.value) == (
        f"max_ratio_per_group is {limit}, but some of each group's channels have to stay; expected 0 up to "
        "but not including 1."
    )


def test_other_settings_out_of_range_are_refused():
    with pytest.raises(SettingError, match=r"^multiple_of is 0; expected at least 1\.$"):
        SelectionConfig(multiple_of=0)
    with pytest.raises(UnknownNameError, match="no scope called 'layer'"):
        SelectionConfig(scope="layer")
    with pytest.raises(UnknownNameError, match="no normalization called 'median'"):
        SelectionConfig(normalize="median")
