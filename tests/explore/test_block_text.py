import pytest

from course_lib.explore.block_result import BlockResult, KernelTime
from course_lib.explore.block_text import explain, follows_macs, shares
from tests.explore.known_block import latency, result

STANDARD = (KernelTime("Conv", "0", 2_000, 50.0), KernelTime("ReorderOutput", "", 1_000, 4.0))


def measured(
    deep_us: float, point_us: float, block_us: float, standard_us: float = 60, width: float = 0.01
) -> BlockResult:
    kernels = (
        KernelTime("ReorderInput", "", 500, 3.0),
        KernelTime("Conv", "deep", 4_000, deep_us),
        KernelTime("Conv", "point", 3_000, point_us),
        KernelTime("ReorderOutput", "", 500, 3.0),
    )
    return result(latency(block_us, standard_us, kernels, STANDARD, width))


def test_the_worked_example() -> None:
    found = {share.kind: share for share in shares(measured(8, 6, 30))}
    lost = {kind: share.lost_us for kind, share in found.items()}
    assert lost == pytest.approx({"depthwise": 4, "pointwise": 0, "outside": 14})
    assert explain(measured(8, 6, 30)) == (
        "0.20× the MACs of the standard convolution, 0.50× its time: of its 30.0 µs, 16.0 µs pass outside of "
        "convolutions, in 2 other kernels that move 1.00 kB and in the call itself, which fewer MACs do not "
        "shorten (standard: 10.0 µs)."
    )


def test_the_shares_add_up_to_what_the_promise_misses() -> None:
    shown = measured(9, 7, 33)
    assert sum(share.lost_us for share in shares(shown)) == pytest.approx(33 - 0.2 * 60)
    assert sum(share.time_us for share in shares(shown)) == pytest.approx(33)


def test_a_slow_convolution_is_told_with_its_intensity() -> None:
    assert explain(measured(20, 6, 28)) == (
        "0.20× the MACs of the standard convolution, 0.47× its time: its depthwise convolution makes 2.00 "
        "MACs for each byte moved, the standard one 50.0: 0.400 GMAC/s against 2.00, and 71% of the time for "
        "40% of the MACs."
    )


def test_a_ratio_near_that_of_the_macs_follows_it() -> None:
    shown = measured(4, 6, 13)
    assert follows_macs(shown)
    assert explain(shown).endswith("0.22× its time: here latency follows the MACs.")
    assert not follows_macs(measured(8, 6, 30))
    assert follows_macs(measured(8, 6, 30, width=0.7))


def test_what_is_quicker_than_its_macs_is_explained_by_what_is_quick() -> None:
    assert "its 1×1 convolution makes 4.00 MACs for each byte" in explain(measured(3.9, 1, 7))


def test_a_convolution_that_took_no_measurable_time_has_a_least_speed() -> None:
    # 12,000 MACs in under a microsecond; the standard convolution makes 100,000 in 50.
    assert (
        "MACs for each byte moved, the standard one 50.0: over 12.0 GMAC/s against 2.00, and 0%"
        in explain(measured(3.9, 0, 7))
    )


def test_a_standard_convolution_without_a_rest_is_not_said_to_have_none() -> None:
    assert "(standard: under 1 µs)" in explain(measured(8, 6, 40, standard_us=50))


def test_before_the_measurement_and_of_the_reference() -> None:
    assert explain(result(None)).endswith("latency is being measured in ONNX Runtime …")
    assert list(shares(result(None))) == []
    assert not follows_macs(result(None))
    same = latency(60, 60, STANDARD, STANDARD)
    assert explain(result(same, "standard")) == ("This is the standard convolution, compared with itself.")
