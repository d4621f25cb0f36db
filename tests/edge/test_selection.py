from dataclasses import asdict, replace

import pytest
from hypothesis import given

from course_lib.edge import (
    DEVICE_CLASSES,
    MICROCONTROLLERS,
    DeviceLimits,
    EdgeWeights,
    Task,
    choose,
    shortlist,
)
from course_lib.edge.limits import breaches
from course_lib.errors import DataError, SettingError, UnknownNameError
from tests.edge.networks import ALL, GOOD, QUICK, SMALL, many
from tests.edge.test_limits import limits

M4 = MICROCONTROLLERS["cortex_m4_256k"]


def names(chosen) -> list[str]:
    return [each.name for each in chosen.accepted]


def test_the_worked_example() -> None:
    free = shortlist(ALL)
    assert names(free) == ["quick", "good", "small"]
    assert free.best is QUICK
    assert free.impossible == ""
    bound = shortlist(ALL, DeviceLimits(latency_ms=0.5))
    assert names(bound) == ["quick", "small"]
    assert bound.why("good") == (
        "Refused: it takes 0.900 ms on the machine of its record, 0.400 ms more than the 0.500 ms allowed."
    )
    assert bound.why("quick") == "Keeps every limit: the most accurate of those that fit, at 0.300 ms."


def test_plain_records_and_networks_give_the_same() -> None:
    assert str(shortlist([asdict(each) for each in ALL])) == str(shortlist(ALL))


def test_every_broken_limit_is_told_and_the_nearest_refused_one_comes_first() -> None:
    chosen = shortlist(ALL, DeviceLimits(memory_bytes=40_000, storage_bytes=200_000))
    assert [verdict.network.name for verdict in chosen.verdicts] == ["small", "quick", "good"]
    assert [verdict.rank for verdict in chosen.verdicts] == [1, None, None]
    assert chosen.why("good") == (
        "Refused: it needs 150 kB of activation memory, 110 kB more than the 40.0 kB allowed and takes "
        "300 kB of storage, 100 kB more than the 200 kB allowed."
    )


def test_a_floor_inside_the_interval_is_doubtful() -> None:
    chosen = shortlist(ALL, DeviceLimits(accuracy=0.915))
    assert names(chosen) == ["quick", "good"]
    assert chosen.why("quick").endswith("; the low end of its interval is below the required 91.50%.")
    assert "low end" in chosen.why("good")
    assert "low end" not in shortlist(ALL, DeviceLimits(accuracy=0.91)).why("good")


def test_on_a_microcontroller_memory_is_checked_and_latency_is_not() -> None:
    large = replace(GOOD, peak_activation_bytes=300_000)
    chosen = shortlist([large, QUICK, SMALL], DeviceLimits(latency_ms=0.2), device=M4)
    assert names(chosen) == ["quick", "small"]
    assert chosen.why("good") == (
        "Refused: it needs 300 kB of activation memory, 37.9 kB more than the 262 kB allowed."
    )
    assert chosen.notes[0] == (
        "No latency or energy was measured on STM32F412 (Cortex-M4); the limit latency_ms=0.2 was not "
        "checked: measure it there."
    )
    assert "MCUNet" in chosen.notes[1]
    assert chosen.why("quick").endswith("at 3,000,000 MACs.")


def test_a_device_is_known_by_its_name() -> None:
    assert str(shortlist(ALL, device="cortex_m4_256k")) == str(shortlist(ALL, device=M4))
    embedded = DEVICE_CLASSES["embedded"]
    assert str(shortlist(ALL, device="embedded")) == str(shortlist(ALL, device=embedded))


def test_with_a_limit_of_0_the_least_need_is_refused_first() -> None:
    chosen = shortlist(ALL, DeviceLimits(memory_bytes=0))
    assert [verdict.network.name for verdict in chosen.verdicts] == ["small", "quick", "good"]


def test_the_tier_of_a_class_is_told_as_a_claim() -> None:
    chosen = shortlist(ALL, device=DEVICE_CLASSES["embedded"])
    assert names(chosen) == ["quick", "good", "small"]
    assert (
        chosen.notes[0] == "No latency or energy was measured on devices of 1 to 10 TOPS: measure it there."
    )
    assert "10 to 100 ms, is a claim" in chosen.notes[1]


def test_a_rate_is_a_limit_on_latency_here_and_an_open_question_elsewhere() -> None:
    task = Task(inputs_per_s=5000)
    assert names(shortlist(ALL, task=task)) == ["small"]
    assert names(shortlist(ALL, DeviceLimits(latency_ms=0.05), task)) == []
    elsewhere = shortlist(ALL, task=task, device=M4)
    assert len(elsewhere.accepted) == 3
    assert "latency_ms=0.2 was not checked" in elsewhere.notes[0]


def test_networks_measured_on_other_data_are_refused() -> None:
    other = replace(SMALL, name="other", data="cifar10")
    chosen = shortlist([*ALL, other])
    assert len(chosen.accepted) == 3
    assert chosen.why("other") == (
        "Refused: it was measured on cifar10, and how accurate it is on fashion-mnist is not known."
    )
    assert shortlist([other]).impossible == (
        "No network fits: none was measured on fashion-mnist, only on cifar10."
    )


@given(many, limits)
def test_accepted_are_those_without_a_breach_and_the_first_by_cost_is_that_of_choose(networks, asked) -> None:
    weights = EdgeWeights(per_ms=1.0, per_kb=0.01, per_mj=0.5)
    chosen = shortlist(networks, asked, Task(prefer="cost"), weights=weights)
    kept = [each for each in networks if not breaches(each, asked)]
    assert set(names(chosen)) == {each.name for each in kept}
    assert (chosen.impossible == "") == bool(kept)
    if kept:
        choice = choose([each.as_candidate() for each in kept], weights)
        best = [each.name for each in kept].index(chosen.best.name)
        assert choice.objectives[best] == min(choice.objectives)


@given(many, limits)
def test_tighter_limits_never_accept_more(networks, asked) -> None:
    tighter = replace(asked, memory_bytes=asked.memory_bytes / 2, accuracy=(1 + asked.accuracy) / 2)
    assert set(names(shortlist(networks, tighter))) <= set(names(shortlist(networks, asked)))


def test_the_table_shows_all_networks_and_what_is_not_known() -> None:
    chosen = shortlist(ALL, DeviceLimits(memory_bytes=10_000))
    assert chosen.best is None
    assert [row["rank"] for row in chosen.table_rows()] == ["refused"] * 3
    assert chosen.impossible in str(chosen)
    assert str(chosen).endswith("those of the machine on which the records were measured.")
    assert chosen.impossible in chosen._repr_html_()


def test_bad_input_gets_one_sentence() -> None:
    with pytest.raises(SettingError, match=r"choose got the candidates \[\]: pass at least one"):
        shortlist([])
    with pytest.raises(SettingError, match="each with a name of its own"):
        shortlist([SMALL, SMALL])
    with pytest.raises(DataError, match=r"^The record of tiny lacks accuracy, "):
        shortlist([{"name": "tiny"}])
    with pytest.raises(
        SettingError, match=r"^per_mj=1 prices energy, which was not measured for good, quick,"
    ):
        shortlist(ALL, weights=EdgeWeights(per_mj=1.0))
    with pytest.raises(SettingError, match=r"^inputs_per_s is 0; pass a rate above 0, or None"):
        Task(inputs_per_s=0)
    with pytest.raises(SettingError, match=r"^prefer is 'size'; expected 'accuracy' or 'cost'\.$"):
        Task(prefer="size")
    with pytest.raises(SettingError, match=r"^inputs_per_s is '10'; pass a rate above 0, or None"):
        Task(inputs_per_s="10")
    with pytest.raises(
        DataError, match=r"^'tiny' is no record of a network: pass a MeasuredNetwork, or a re"
    ):
        shortlist(["tiny"])
    with pytest.raises(
        UnknownNameError, match=r"^There is no device called 'cortex_m4'; the known ones are "
    ):
        shortlist(ALL, device="cortex_m4")
    with pytest.raises(
        SettingError,
        match=r"^device is 256; pass a name such as 'cortex_m4_256k' or 'embedded', a Microcontroller, a Dev",
    ):
        shortlist(ALL, device=256)
    with pytest.raises(UnknownNameError, match=r"no network in this shortlist called 'smal'.*'small'"):
        shortlist(ALL).why("smal")
