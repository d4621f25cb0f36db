import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.errors import SettingError
from course_lib.explore import ChannelChoice

REMOVED = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.lists(st.integers(0, 9), max_size=6))


def test_a_choice_worked_by_hand():
    choice = ChannelChoice.of({"stem": [5, 2, 5], "head": [], "body": [1]})
    assert choice.chosen == {"body": (1,), "stem": (2, 5)}
    assert choice.count == 3
    assert choice.label == "1 channel of body and 2 of stem removed"
    assert [str(entry) for entry in choice.removed] == ["body: 1", "stem: 2 5"]


def test_labels_stay_short():
    assert ChannelChoice().label == "all channels"
    assert ChannelChoice.of({"a": [0]}).label == "1 channel of a removed"
    assert ChannelChoice.of({"a": [0], "b": [0, 1], "c": [3]}).label == "4 channels of 3 groups removed"


@given(REMOVED, st.randoms())
def test_equal_removals_are_equal_choices_in_any_order(removed: dict[str, list[int]], random):
    shuffled = list(removed.items())
    random.shuffle(shuffled)
    other = ChannelChoice.of({name: channels[::-1] for name, channels in shuffled})
    assert other == ChannelChoice.of(removed)
    assert hash(other) == hash(ChannelChoice.of(removed))
    assert other.dense == (not any(removed.values()))
    assert other.count == sum(len(set(channels)) for channels in removed.values())


def test_channels_that_are_no_numbers_are_refused():
    with pytest.raises(SettingError, match=r"The group 'a' has no channel 1\.5; expected whole numbers\."):
        ChannelChoice.of({"a": [1.5]})  # type: ignore[list-item]
