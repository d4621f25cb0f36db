import gc
import json
import statistics
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.benchmarking.latency import LatencyResult, measure_latency
from course_lib.benchmarking.machine import record_machine
from course_lib.errors import CourseError, MeasurementError, SettingError

SAMPLES = st.lists(st.floats(0.001, 1e4), min_size=1, max_size=80)


def result_of(samples_ms: list[float], items_per_call: int = 1) -> LatencyResult:
    return LatencyResult(
        samples_ms=tuple(samples_ms), machine=record_machine(), name="net", items_per_call=items_per_call
    )


def test_samples_are_those_of_the_clock_after_the_warm_up(clock: Any) -> None:
    call = clock.spend_ms(50, 2, 4)
    result = measure_latency(call, warmup=1, runs=5, items_per_call=8, threads=2, seed=3)
    assert result.samples_ms == (2, 4, 50, 2, 4)
    assert (result.warmup, result.machine.threads, result.machine.seed) == (1, 2, 3)
    assert len(clock.calls) == 6


def test_statistics_by_hand() -> None:
    result = result_of([4, 1, 3, 2, 10], items_per_call=8)
    assert result.p50_ms == 3
    assert result.p95_ms == pytest.approx(4 + 0.8 * 6)
    assert result.p99_ms == pytest.approx(4 + 0.96 * 6)
    assert result.mean_ms == 4
    assert result.std_ms == pytest.approx(12.5**0.5)
    assert tuple(result.p50_interval_ms) == (1, 10)
    assert result.throughput_per_s == 2000


@given(SAMPLES, st.floats(0.5, 4))
def test_statistics_are_ordered_and_scale_with_the_clock(samples: list[float], factor: float) -> None:
    result, scaled = result_of(samples), result_of([factor * sample for sample in samples])
    assert min(samples) <= result.p50_ms <= result.p95_ms <= result.p99_ms <= max(samples)
    assert result.p50_ms in result.p50_interval_ms
    assert scaled.p95_ms == pytest.approx(factor * result.p95_ms)
    assert scaled.throughput_per_s == pytest.approx(result.throughput_per_s / factor)


@given(SAMPLES.filter(lambda samples: len(samples) > 1))
def test_statistics_agree_with_the_standard_library(samples: list[float]) -> None:
    result = result_of(samples)
    hundredths = statistics.quantiles(samples, n=100, method="inclusive")
    assert result.p50_ms == pytest.approx(statistics.median(samples))
    assert (result.p95_ms, result.p99_ms) == pytest.approx((hundredths[94], hundredths[98]))
    assert result.mean_ms == pytest.approx(statistics.fmean(samples))
    assert result.std_ms == pytest.approx(statistics.stdev(samples), rel=1e-6, abs=1e-9)


def test_quiet_samples_draw_no_warning() -> None:
    assert result_of([1.0 + 0.001 * i for i in range(40)]).noise_warning is None


@pytest.mark.parametrize(
    ("samples", "warning"),
    [
        ([1.0] * 5, "net: 5 runs are too few for a 95 % interval, take at least 6."),
        (list(np.linspace(1, 3, 10)), "net: the 95 % interval of the median spans 78% of it"),
        ([1.0] * 36 + [3.0] * 4, "net: one call in twenty took 3.0 times the median or longer"),
    ],
)
def test_noise_is_told_in_one_sentence(samples: list[float], warning: str) -> None:
    result = result_of(samples)
    assert result.noise_warning is not None
    assert result.noise_warning.startswith(warning)
    assert result.noise_warning in str(result)
    assert result.noise_warning in result.notes()


def test_a_result_prints_as_a_row_and_as_json(clock: Any) -> None:
    result = measure_latency(clock.spend_ms(1, 2, 3), warmup=0, runs=9, name="tiny net")
    row = result.table_row()
    assert row["measured"] == "tiny net"
    assert (row["p50 ms"], row["95% interval"], row["runs"]) == ("2.00", "1.00–3.00", "9")
    assert "tiny net" in result._repr_html_()
    values = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert values["samples_ms"] == [1, 2, 3] * 3
    assert values["p50_ms"] == 2
    assert values["p50_interval_ms"] == {"low": 1, "high": 3, "confidence": 0.95}


def test_a_single_run_has_no_deviation_but_prints(clock: Any) -> None:
    result = measure_latency(clock.spend_ms(2), warmup=0, runs=1)
    assert result.as_dict()["std_ms"] is None
    assert result.table_row()["mean ± std ms"] == "2.00 ± –"


def test_the_garbage_collector_waits_and_is_restored() -> None:
    seen = []
    measure_latency(lambda: seen.append(gc.isenabled()), warmup=1, runs=2)
    assert seen == [False] * 3
    assert gc.isenabled()

    def fail() -> None:
        raise RuntimeError("no")

    with pytest.raises(MeasurementError):
        measure_latency(fail)
    assert gc.isenabled()


def test_a_real_clock_gives_positive_samples() -> None:
    result = measure_latency(lambda: sum(range(1000)), warmup=2, runs=20)
    assert len(result.samples_ms) == 20
    assert min(result.samples_ms) > 0


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"runs": 0}, "runs=0 is not possible here: pass a whole number of at least 1"),
        ({"warmup": -1}, "warmup=-1 is not possible here: pass a whole number of at least 0"),
        ({"items_per_call": 0}, "items_per_call=0 is not possible here"),
        ({"threads": 0}, "threads=0 is not possible here"),
    ],
)
def test_impossible_settings_are_refused_before_the_call_runs(options: dict[str, int], text: str) -> None:
    ran = []
    with pytest.raises(SettingError, match=f"^{text}"):
        measure_latency(lambda: ran.append(1), **options)
    assert not ran


def test_what_cannot_be_measured_is_told_in_one_sentence() -> None:
    with pytest.raises(MeasurementError, match=r"^call is int and cannot be called"):
        measure_latency(3)  # type: ignore[arg-type]
    with pytest.raises(
        MeasurementError, match=r"^net raised ZeroDivisionError \(division by zero\) while it was"
    ):
        measure_latency(lambda: 1 / 0, name="net")


@pytest.mark.parametrize("samples", [[], [-1.0], [float("nan")], [float("inf")]])
def test_samples_that_no_clock_gives_are_refused(samples: list[float]) -> None:
    with pytest.raises(CourseError, match=f"^net has {len(samples)} latency samples"):
        result_of(samples)
