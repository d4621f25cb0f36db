import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from course_lib.benchmarking.throughput import ThroughputResult, measure_throughput
from course_lib.errors import MeasurementError, SettingError


def measure(clock: Any, fixed_ms: float, each_ms: float, sizes: tuple[int, ...]) -> ThroughputResult:
    """Measure a call that takes ``fixed_ms`` and ``each_ms`` for every item."""
    return measure_throughput(
        lambda batch: clock.spend_ms(fixed_ms + each_ms * len(batch))(),
        np.zeros((64, 2)),
        batch_sizes=sizes,
        warmup=1,
        runs=7,
    )


def test_items_a_second_by_hand(clock: Any) -> None:
    result = measure(clock, 1.0, 0.25, (1, 4, 12))
    assert result.throughput_per_s == {1: 800, 4: 2000, 12: 3000}
    assert result.best_batch_size == 12
    assert result.by_batch[1].samples_ms == (2.0,) * 7


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(fixed_ms=st.floats(0.1, 10), each_ms=st.floats(0.01, 1))
def test_a_fixed_cost_makes_larger_batches_pay_up_to_a_limit(
    clock: Any, fixed_ms: float, each_ms: float
) -> None:
    rates = list(measure(clock, fixed_ms, each_ms, (1, 2, 8, 64)).throughput_per_s.values())
    assert rates == sorted(rates)
    assert rates[-1] <= 1000 / each_ms


def test_the_call_gets_each_batch_as_often_as_asked() -> None:
    seen = []
    inputs = list(range(10))
    measure_throughput(lambda batch: seen.append(tuple(batch)), inputs, batch_sizes=(3, 1), warmup=1, runs=2)
    assert seen == [(0, 1, 2)] * 3 + [(0,)] * 3


def test_it_prints_a_row_for_each_batch_size_and_becomes_json(clock: Any) -> None:
    result = measure(clock, 1.0, 0.25, (1, 4))
    assert [row["measured"] for row in result.table_rows()] == ["batch of 1", "batch of 4"]
    assert "| batch of 4 |" in str(result)
    values = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert values["throughput_per_s"] == {"1": 800, "4": 2000}
    assert values["by_batch"][0]["samples_ms"] == [1.25] * 7


def test_what_cannot_be_measured_is_told_in_one_sentence() -> None:
    with pytest.raises(
        SettingError, match=r"^inputs holds 4 items, fewer than the largest batch of 128: pass more"
    ):
        measure_throughput(len, [0] * 4)
    with pytest.raises(SettingError, match=r"^batch_sizes=\(\) must name at least one size and none twice"):
        measure_throughput(len, [0] * 4, batch_sizes=())
    with pytest.raises(SettingError, match=r"^batch_sizes=\(2, 2\) must name"):
        measure_throughput(len, [0] * 4, batch_sizes=(2, 2))
    with pytest.raises(SettingError, match=r"^batch_sizes=0 is not possible here"):
        measure_throughput(len, [0] * 4, batch_sizes=(0,))
    with pytest.raises(MeasurementError, match=r"^call is str and cannot be called"):
        measure_throughput("model", [0] * 4)  # type: ignore[arg-type]
    with pytest.raises(MeasurementError, match=r"^batch of 2 raised TypeError"):
        measure_throughput(abs, [0] * 4, batch_sizes=(2,))
