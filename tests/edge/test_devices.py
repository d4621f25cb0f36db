import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.edge import DEVICE_CLASSES, MICROCONTROLLERS
from course_lib.edge.devices import class_of


def test_the_worked_example() -> None:
    has_room = [
        each.name
        for each in MICROCONTROLLERS.values()
        if each.flash_bytes >= 40_000 and each.sram_bytes >= 30_000
    ]
    assert has_room == ["cortex_m4_256k", "cortex_m7_320k", "cortex_m7_512k"]


@pytest.mark.parametrize(
    ("name", "sram_kb", "flash_kb"),
    [("cortex_m3_20k", 20, 64), ("cortex_m4_256k", 256, 1024), ("cortex_m7_512k", 512, 2048)],
)
def test_memory_is_in_units_of_1024_bytes(name: str, sram_kb: int, flash_kb: int) -> None:
    record = MICROCONTROLLERS[name]
    assert (record.sram_bytes, record.flash_bytes) == (1024 * sram_kb, 1024 * flash_kb)


@pytest.mark.parametrize(
    ("tops", "name", "tier"),
    [
        (40, "edge_server", "under 10 ms"),
        (32, "edge_server", "under 10 ms"),
        (1, "embedded", "10 to 100 ms"),
        (0.5, "constrained", "100 ms or more"),
    ],
)
def test_a_device_falls_into_its_class(tops: float, name: str, tier: str) -> None:
    found = class_of(tops)
    assert found is DEVICE_CLASSES[name]
    assert found.tier == tier


@given(st.floats(0, 1000))
def test_only_between_10_and_32_tops_no_class_is_named(tops: float) -> None:
    assert (class_of(tops) is None) == (10 <= tops < 32)


def test_the_tiers_of_the_classes_leave_no_gap() -> None:
    tiers = sorted((each.latency_low_ms, each.latency_high_ms) for each in DEVICE_CLASSES.values())
    assert tiers == [(0, 10), (10, 100), (100, math.inf)]


@pytest.mark.parametrize("record", [*DEVICE_CLASSES.values(), *MICROCONTROLLERS.values()])
def test_every_record_says_that_it_is_a_claim_and_whose(record) -> None:
    assert record.source in record.claim()
    assert "measure" in record.claim()
