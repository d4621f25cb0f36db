import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.edge import DEVICE_CLASSES, MICROCONTROLLERS, DeviceLimits, Task, shortlist
from course_lib.edge.architecture_map import (
    AXES,
    DEVICES,
    HERE,
    MapSetting,
    count_text,
    floor_stops,
    limit_stops,
    limits_in_words,
    weigh,
)
from course_lib.errors import SettingError, UnknownNameError
from tests.edge.networks import ALL, GOOD, QUICK, SMALL, many


def test_the_worked_example() -> None:
    stops = limit_stops([0.12, 0.20, 0.365])
    assert (stops[0], stops[1], stops[-2], stops[-1]) == (0.11, 0.12, 0.37, math.inf)


@given(st.lists(st.floats(1e-4, 1e9), min_size=1, max_size=8))
def test_the_first_limit_is_kept_by_none_and_the_last_but_one_by_all(costs: list[float]) -> None:
    stops = limit_stops(costs)
    assert list(stops) == sorted(set(stops))
    assert stops[0] < min(costs) <= stops[1]
    assert stops[-3] < max(costs) <= stops[-2] < stops[-1] == math.inf
    assert all(float(f"{stop:.1e}") == stop for stop in stops[:-1])


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_floor_goes_from_none_to_above_all(one: float, other: float) -> None:
    low, high = sorted((one, other))
    stops = floor_stops(low, high)
    assert list(stops) == sorted(set(stops))
    assert stops[0] == 0
    assert stops[1] <= max(low, 0.001) + 1e-12
    assert stops[-1] > high or stops[-1] == 1
    assert all(abs(1000 * stop - round(1000 * stop)) < 1e-9 for stop in stops)


def test_a_budget_chooses_as_the_shortlist_does() -> None:
    limits = DeviceLimits(latency_ms=0.5, accuracy=0.9)
    result = weigh(ALL, MapSetting(limits=limits))
    assert result.accepted == {"quick"}
    assert str(result.chosen) == str(shortlist(ALL, limits))
    by_cost = weigh(ALL, MapSetting(prefer="cost"))
    assert by_cost.chosen is not None
    assert by_cost.chosen.verdicts == shortlist(ALL, task=Task(prefer="cost")).verdicts
    assert by_cost.chosen.best == SMALL


@given(many, st.sampled_from(sorted(AXES)))
def test_every_axis_has_a_limit_that_the_shortlist_keeps(networks, name) -> None:
    axis = AXES[name]
    costs = [axis.of(network) for network in networks]
    stops = limit_stops(costs)
    for stop in {stops[0], *stops[7::9], *stops[-2:]}:
        result = weigh(networks, MapSetting(axis=name, limits=DeviceLimits(**{axis.limit: stop})))
        assert result.accepted == {each.name for each in networks if axis.of(each) <= stop}
        assert result.setting.limit == stop


def test_a_microcontroller_brings_its_own_limits_and_latency_is_not_checked_there() -> None:
    setting = MapSetting(limits=DeviceLimits(latency_ms=0.2), device="cortex_m3_20k")
    result = weigh(ALL, setting)
    assert result.accepted == frozenset()
    assert result.chosen is not None
    assert "not one keeps the limit on activation memory" in result.chosen.impossible
    assert not setting.is_checked
    assert MapSetting(axis="memory", device="cortex_m3_20k").device_limit == 20 * 1024
    assert MapSetting(axis="storage", device="cortex_m3_20k").device_limit == 64 * 1024
    assert MapSetting(axis="macs", device="cortex_m3_20k").device_limit == math.inf
    assert MapSetting(axis="memory").device_limit == math.inf
    assert MapSetting(axis="memory", device="embedded").device_limit == math.inf


def test_all_presets_can_be_chosen_and_this_machine_comes_first() -> None:
    assert list(DEVICES) == [HERE, *MICROCONTROLLERS, *DEVICE_CLASSES]
    for device in DEVICES:
        assert weigh([GOOD, QUICK], MapSetting(device=device)).chosen is not None


def test_before_anything_is_measured_nothing_is_chosen() -> None:
    result = weigh([], MapSetting())
    assert (result.chosen, result.accepted) == (None, frozenset())


def test_limits_and_counts_in_words() -> None:
    assert limits_in_words(DeviceLimits()) == {}
    limits = DeviceLimits(latency_ms=0.25, macs=1_500_000, storage_bytes=50_000, accuracy=0.905)
    assert limits_in_words(limits) == {
        "latency": "latency at most 0.250 ms",
        "macs": "MACs at most 1.50 million",
        "storage": "storage at most 50.0 kB",
        "accuracy": "accuracy at least 90.5%",
    }
    assert [count_text(number) for number in (950, 35_850, 2e9)] == ["950", "35.9 thousand", "2.00 billion"]


def test_bad_input_gets_one_sentence() -> None:
    with pytest.raises(UnknownNameError, match="no axis called 'speed'"):
        MapSetting(axis="speed")
    with pytest.raises(UnknownNameError, match="no device called 'phone'"):
        MapSetting(device="phone")
    with pytest.raises(SettingError, match=r"^prefer is 'size'; expected 'accuracy' or 'cost'\.$"):
        MapSetting(prefer="size")  # type: ignore[arg-type]
    with pytest.raises(SettingError, match=r"^limit_stops got \[\]; pass at least one cost, each above 0\.$"):
        limit_stops([])
    with pytest.raises(SettingError, match=r"limit_stops got \[0.0, 1.0\]; pass"):
        limit_stops([0.0, 1.0])
    with pytest.raises(SettingError, match=r"^floor_stops got accuracies from 0.9 to 0.8; pass fractions"):
        floor_stops(0.9, 0.8)
