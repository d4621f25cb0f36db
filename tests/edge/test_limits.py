import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.edge import MICROCONTROLLERS, DeviceLimits, EdgeLimits
from course_lib.edge.limits import RULES, breaches, distance, impossible, nearness
from course_lib.errors import SettingError
from tests.edge.networks import ALL, GOOD, QUICK, SMALL, amounts, many, network

bounds = amounts | st.just(0)
limits = st.builds(
    DeviceLimits,
    memory_bytes=bounds,
    storage_bytes=bounds,
    macs=bounds,
    power_w=st.floats(0, 100),
    latency_ms=st.floats(0, 10),
    energy_mj=st.floats(0, 10),
    accuracy=st.floats(0, 1),
)


def test_the_worked_example() -> None:
    asked = DeviceLimits(memory_bytes=20_000, accuracy=0.90)
    large, weak = network("large", 0.91), network("weak", 0.89, peak_activation_bytes=20_000)
    assert distance(breaches(large, asked)) == pytest.approx(0.55)
    assert distance(breaches(weak, asked)) == pytest.approx(1 / 90)
    assert "the nearest, weak, is right in 89.00%" in impossible([large, weak], asked)


@pytest.mark.parametrize(
    ("asked", "phrase"),
    [
        (
            {"memory_bytes": 19_000},
            "needs 31.0 kB of activation memory, 12.0 kB more than the 19.0 kB allowed",
        ),
        ({"storage_bytes": 60_000}, "takes 80.0 kB of storage, 20.0 kB more than the 60.0 kB allowed"),
        (
            {"latency_ms": 0.15},
            "takes 0.200 ms on the machine of its record, 0.0500 ms more than the 0.150 ms allowed",
        ),
        (
            {"energy_mj": 0.5},
            "uses 2.00 mJ on the machine of its record, 1.50 mJ more than the 0.500 mJ allowed",
        ),
        (
            {"power_w": 4.0},
            "draws 10.0 W on the machine of its record, 6.00 W more than the 4.00 W allowed",
        ),
        ({"macs": 800_000}, "computes 1,000,000 MACs, 200,000 MACs more than the 800,000 MACs allowed"),
        (
            {"params": 19_000},
            "has 20,000 parameters, 1,000 parameters more than the 19,000 parameters allowed",
        ),
        ({"accuracy": 0.911}, "is right in 90.00%, 1.10 points less than the required 91.10%"),
    ],
)
def test_each_limit_is_told_with_what_is_missing(asked: dict[str, float], phrase: str) -> None:
    (breach,) = breaches(network("net", energy_mj=2.0), DeviceLimits(**asked))
    assert (breach.limit, breach.phrase) == (next(iter(asked)), phrase)


@given(many, limits)
def test_the_shared_limits_are_those_of_edge_limits(networks, asked) -> None:
    shared = EdgeLimits(
        memory_bytes=asked.memory_bytes, macs=asked.macs, power_w=asked.power_w, accuracy=asked.accuracy
    )
    for each in networks:
        own = [found for found in breaches(each, asked) if hasattr(shared, found.limit)]
        assert len(own) == len(shared.broken_by(each.as_candidate()))


@given(many, limits)
def test_a_limit_is_kept_at_its_bound_and_broken_a_little_below(networks, asked) -> None:
    one = networks[0]
    bound = DeviceLimits(
        memory_bytes=one.peak_activation_bytes,
        storage_bytes=one.size_bytes,
        latency_ms=one.p50_ms,
        energy_mj=one.energy_mj,
        power_w=one.power_w,
        macs=one.macs,
        accuracy=one.accuracy,
    )
    assert breaches(one, bound) == ()
    (found,) = breaches(one, replace(bound, macs=one.macs - 0.5))
    assert found.limit == "macs"
    assert (distance(breaches(one, asked)) == 0) == (breaches(one, asked) == ())


def test_what_was_not_measured_cannot_keep_a_limit_but_needs_none() -> None:
    assert breaches(SMALL, DeviceLimits()) == ()
    (found,) = breaches(SMALL, DeviceLimits(energy_mj=5))
    assert found.phrase == "has no measured energy, so that a limit on it cannot be checked"
    assert found.distance == math.inf
    assert impossible(ALL, DeviceLimits(energy_mj=5)) == (
        "No network fits: not one keeps the limit on energy, which was measured for none."
    )
    # What is known to be off is nearer than what is not known at all.
    hungry = network("hungry", energy_mj=7.0)
    assert "the nearest, hungry, uses 7.00 mJ" in impossible([*ALL, hungry], DeviceLimits(energy_mj=5))
    bound = DeviceLimits(memory_bytes=0, energy_mj=5)
    frugal = replace(GOOD, energy_mj=1.0)
    order = sorted((SMALL, frugal), key=lambda each: nearness(breaches(each, bound)))
    assert order == [frugal, SMALL]


@pytest.mark.parametrize("asked", [{"memory_bytes": 0}, {"latency_ms": 0}, {"macs": 0, "storage_bytes": 0}])
def test_a_limit_of_0_leaves_the_least_need_the_nearest(asked: dict[str, float]) -> None:
    nothing = DeviceLimits(**asked)
    assert [distance(breaches(each, nothing)) for each in ALL] == [math.inf] * 3
    assert "the nearest, small, " in impossible(ALL, nothing)
    assert sorted(ALL, key=lambda each: nearness(breaches(each, nothing))) == [SMALL, QUICK, GOOD]


@given(many, limits)
def test_a_lower_need_is_never_further_off(networks, asked) -> None:
    one = networks[0]
    lower = replace(one, peak_activation_bytes=one.peak_activation_bytes // 2, p50_ms=one.p50_ms / 2)
    unpowered = replace(asked, power_w=math.inf)  # the same energy in less time is more power
    assert nearness(breaches(lower, unpowered)) <= nearness(breaches(one, unpowered))


def test_fewer_limits_of_0_broken_is_nearer() -> None:
    nothing = DeviceLimits(memory_bytes=0, storage_bytes=0)
    light = replace(SMALL, peak_activation_bytes=0)
    assert nearness(breaches(light, nothing)) < nearness(breaches(SMALL, nothing))


def test_an_impossible_budget_names_the_limit_and_the_nearest() -> None:
    assert impossible(ALL, DeviceLimits(memory_bytes=10_000)) == (
        "No network fits: not one keeps the limit on activation memory, and the nearest, small, needs "
        "31.0 kB of activation memory, 21.0 kB more than the 10.0 kB allowed."
    )
    twice = impossible(ALL, DeviceLimits(memory_bytes=10_000, accuracy=0.95))
    assert "; not one keeps the limit on accuracy, and the nearest, good, is right in 92.00%" in twice
    assert twice.count("No network fits") == 1
    assert impossible(ALL, DeviceLimits(memory_bytes=31_000)) is None


def test_limits_that_nobody_keeps_together_name_the_nearest() -> None:
    assert impossible(ALL, DeviceLimits(memory_bytes=50_000, accuracy=0.91)) == (
        "No network fits, though each limit is kept by some: the nearest, small, is right in 89.00%, "
        "2.00 points less than the required 91.00%."
    )
    assert "the nearest, quick, needs 56.0 kB" in impossible(
        [GOOD, QUICK], DeviceLimits(memory_bytes=50_000, latency_ms=0.5)
    )


def test_a_microcontroller_tightens_memory_and_storage_only() -> None:
    device = MICROCONTROLLERS["cortex_m4_256k"]
    inside = DeviceLimits(memory_bytes=100_000, latency_ms=3, accuracy=0.9).within(device)
    assert inside == DeviceLimits(memory_bytes=100_000, storage_bytes=1_048_576, latency_ms=3, accuracy=0.9)
    assert DeviceLimits().within(device).memory_bytes == 262_144


def test_every_limit_has_a_rule() -> None:
    assert {rule.limit for rule in RULES} == set(DeviceLimits.__dataclass_fields__)


def test_bad_input_gets_one_sentence() -> None:
    with pytest.raises(SettingError, match=r"^memory_bytes=-5 is not a limit: pass a number of 0 or more\.$"):
        DeviceLimits(memory_bytes=-5)
    with pytest.raises(SettingError, match=r"^latency_ms=nan is not a limit"):
        DeviceLimits(latency_ms=math.nan)
    with pytest.raises(SettingError, match=r"^accuracy=90 is not a limit: pass a fraction from 0 to 1\.$"):
        DeviceLimits(accuracy=90)
    with pytest.raises(SettingError, match=r"^memory_bytes='20kB' is not a limit: pass a number of 0 or mo"):
        DeviceLimits(memory_bytes="20kB")
    with pytest.raises(SettingError, match=r"^macs=None is not a limit"):
        DeviceLimits(macs=None)
