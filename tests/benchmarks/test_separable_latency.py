"""What is said of a separable block's latency, for times that are made up to have one cause each."""

import pytest

from benchmarks.separable_latency import Part, SeparableCase
from course_lib.architectures.blocks.catalogue import BlockShape
from course_lib.benchmarking.compare import Ratio
from course_lib.benchmarking.intervals import Interval

# 3×3, 64 → 128 channels, 28×28: the ratio of MACs is 9·128/137 = 8.41.
SHAPE = BlockShape(64, 128, resolution=28)
STANDARD_MACS, DEPTHWISE_MACS, POINTWISE_MACS = 784 * 9 * 64 * 128, 784 * 9 * 64, 784 * 64 * 128


def separable_case(
    *,
    ratio: float,
    depthwise_us: float = 80.0,
    pointwise_us: float = 110.0,
    outside_us: float = 10.0,
    standard_us: float = 1000.0,
) -> SeparableCase:
    """Return a case whose standard convolution takes 1,000 µs and nothing outside of it."""
    return SeparableCase(
        shape=SHAPE,
        ratio=Ratio(ratio, Interval(ratio - 0.1, ratio + 0.1, 0.95)),
        standard_us=standard_us,
        separable_us=depthwise_us + pointwise_us + outside_us,
        standard=Part(STANDARD_MACS, 4 * 1_000_000, 1000.0),
        depthwise=Part(DEPTHWISE_MACS, 4 * 100_000, depthwise_us),
        pointwise=Part(POINTWISE_MACS, 4 * 150_000, pointwise_us),
        layout_us=7.0,
    )


def test_rates_by_hand() -> None:
    part = Part(macs=6_000_000, bytes_moved=2_000_000, time_us=1_500)
    assert part.intensity == 3
    assert part.gmacs_per_s == 4


def test_lost_times_add_up_to_the_distance_from_the_promise() -> None:
    case = separable_case(ratio=5.0, outside_us=40.0, standard_us=1030.0)
    assert case.outside_us == pytest.approx((30, 40))
    assert sum(case.lost_us.values()) == pytest.approx(case.separable_us - case.standard_us / case.promised)


@pytest.mark.parametrize("ratio", [7.3, 8.41, 9.6])
def test_latency_near_the_promise_follows_macs(ratio: float) -> None:
    case = separable_case(ratio=ratio)
    assert case.follows_macs
    assert case.explanation == (f"Latency follows MACs here: {ratio:.2f} times measured, 8.41 promised.")


@pytest.mark.parametrize("ratio", [7.0, 9.8])
def test_latency_far_from_it_does_not(ratio: float) -> None:
    assert not separable_case(ratio=ratio).follows_macs


def test_the_depthwise_part_is_named_with_its_figures() -> None:
    assert separable_case(ratio=4.0).explanation == (
        "4.00 times measured, 8.41 promised: the depthwise part makes 1.13 MACs for each byte that it moves, "
        "the standard convolution 14.5; it runs at 5.64 GMAC/s against 57.8 and takes 40% of the block's "
        "time for 7% of its MACs."
    )


def test_the_pointwise_part_is_named_where_it_is_the_slow_one() -> None:
    sentence = separable_case(ratio=2.0, pointwise_us=400.0).explanation
    assert "the pointwise part makes 10.7 MACs for each byte" in sentence


def test_time_outside_the_convolutions_is_named() -> None:
    assert separable_case(ratio=2.0, outside_us=300.0, standard_us=1200.0).explanation == (
        "2.00 times measured, 8.41 promised: 300 µs of the separable block's 490 µs pass outside its "
        "convolutions, 7.00 µs of them in changes of layout; that has no MACs, and of the standard block's "
        "1,200 µs it is 200 µs."
    )


def test_a_ratio_above_the_promise_is_explained_by_the_quickest_part() -> None:
    sentence = separable_case(ratio=12.0, depthwise_us=8.0, pointwise_us=60.0, outside_us=2.0).explanation
    assert "the pointwise part" in sentence
    assert "runs at 107 GMAC/s against 57.8" in sentence


def test_a_ratio_is_kept_as_plain_values() -> None:
    figures = separable_case(ratio=4.0).as_dict()
    assert figures["latency_ratio_interval"] == pytest.approx([3.9, 4.1])
    assert figures["parts"]["depthwise"]["macs"] == DEPTHWISE_MACS
    assert figures["separable_ratio"] == pytest.approx(STANDARD_MACS / (DEPTHWISE_MACS + POINTWISE_MACS))
