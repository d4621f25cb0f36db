import json
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from course_lib.benchmarking.compare import LatencyComparison, compare_latency
from course_lib.errors import MeasurementError, SettingError, UnknownNameError


def test_ratio_by_hand(clock: Any) -> None:
    comparison = compare_latency(
        {"fp32": clock.spend_ms(4), "int8": clock.spend_ms(2), "slow": clock.spend_ms(6)},
        baseline="fp32",
        warmup=2,
        runs=10,
    )
    assert {name: ratio.value for name, ratio in comparison.ratios.items()} == {
        "fp32": 1,
        "int8": 0.5,
        "slow": 1.5,
    }
    assert tuple(comparison.ratios["int8"].interval) == (0.5, 0.5)
    verdicts = [row["verdict"] for row in comparison.table_rows()]
    assert verdicts == ["baseline", "faster", "slower"]
    assert comparison.results["int8"].samples_ms == (2,) * 10


def test_a_ratio_whose_interval_holds_one_is_no_difference(clock: Any) -> None:
    comparison = compare_latency(
        {"a": clock.spend_ms(1, 2, 3, 4, 5), "b": clock.spend_ms(5, 1, 4, 2, 3)},
        baseline="a",
        warmup=0,
        runs=30,
    )
    assert 1.0 in comparison.ratios["b"].interval
    assert comparison.table_rows()[1]["verdict"] == "no difference seen"


def test_every_round_calls_each_candidate_once_in_an_order_from_the_seed(clock: Any) -> None:
    def order_of(seed: int) -> list[str]:
        clock.calls.clear()
        calls = {name: clock.spend_ms(1, name=name) for name in "abc"}
        compare_latency(calls, baseline="a", warmup=3, runs=20, seed=seed)
        return list(clock.calls)

    order = order_of(0)
    rounds = [tuple(order[start : start + 3]) for start in range(0, len(order), 3)]
    assert len(rounds) == 23
    assert all(sorted(one) == ["a", "b", "c"] for one in rounds)
    assert len(set(rounds)) > 2
    assert order_of(0) == order
    assert order_of(1) != order


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    slow_from=st.integers(0, 30),
    slowness=st.floats(1.5, 10),
    cost=st.floats(0.2, 5),
)
def test_a_machine_that_turns_slow_does_not_move_the_ratio(
    clock: Any, slow_from: int, slowness: float, cost: float
) -> None:
    durations = [1.0 if i < slow_from else slowness for i in range(30)]
    comparison = compare_latency(
        {"base": clock.spend_ms(*durations), "other": clock.spend_ms(*(cost * ms for ms in durations))},
        baseline="base",
        warmup=0,
        runs=30,
    )
    assert comparison.ratios["other"].value == pytest.approx(cost, rel=1e-4)
    assert tuple(comparison.ratios["other"].interval) == pytest.approx((cost, cost), rel=1e-4)


def test_ratios_agree_with_numpy_on_the_kept_samples() -> None:
    comparison = compare_latency(
        {"short": lambda: sum(range(200)), "long": lambda: sum(range(2000))},
        baseline="short",
        warmup=1,
        runs=15,
    )
    medians = {name: np.median(result.samples_ms) for name, result in comparison.results.items()}
    assert comparison.ratios["long"].value == pytest.approx(medians["long"] / medians["short"])


def test_a_comparison_prints_and_becomes_json(clock: Any) -> None:
    comparison = compare_latency(
        {"fp32": clock.spend_ms(4), "int8": clock.spend_ms(2)}, baseline="fp32", warmup=0, runs=4, seed=9
    )
    assert isinstance(comparison, LatencyComparison)
    assert "ratio to fp32" in str(comparison)
    assert "int8: 4 runs are too few for a 95 % interval" in str(comparison)
    assert "seed 9" in comparison._repr_html_()
    values = json.loads(json.dumps(comparison.as_dict(), allow_nan=False))
    assert values["ratios"]["int8"] == {
        "value": 0.5,
        "interval": {"low": 0.5, "high": 0.5, "confidence": 0.875},
    }
    assert values["results"]["int8"]["p50_ms"] == 2


def test_an_unknown_baseline_lists_the_candidates() -> None:
    with pytest.raises(UnknownNameError) as caught:
        compare_latency({"fp32": int, "int8": int}, baseline="fp23")
    assert str(caught.value) == (
        "There is no candidate called 'fp23'; the known ones are fp32, int8. Did you mean 'fp32'?"
    )


def test_what_cannot_be_compared_is_told_in_one_sentence(clock: Any) -> None:
    with pytest.raises(SettingError, match=r"^compare_latency got no candidates"):
        compare_latency({}, baseline="a")
    with pytest.raises(SettingError, match=r"^runs=0 is not possible here"):
        compare_latency({"a": int}, baseline="a", runs=0)
    with pytest.raises(MeasurementError, match=r"^b is NoneType and cannot be called"):
        compare_latency({"a": int, "b": None}, baseline="a")  # type: ignore[dict-item]
    with pytest.raises(MeasurementError, match=r"^b raised ZeroDivisionError \(division by zero\)"):
        compare_latency({"a": int, "b": lambda: 1 / 0}, baseline="a")
    with pytest.raises(MeasurementError, match=r"put more work into one call"):
        compare_latency({"a": clock.spend_ms(0), "b": clock.spend_ms(1)}, baseline="a")


def test_what_prepares_a_candidate_is_called_right_before_it_and_not_timed():
    calls = []
    prepare = {"a": lambda: (calls.append("ready"), time.sleep(0.02))}
    candidates = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    comparison = compare_latency(candidates, baseline="b", warmup=1, runs=4, prepare=prepare)
    assert calls.count("ready") == calls.count("a") == 5
    assert all(calls[index + 1] == "a" for index, name in enumerate(calls) if name == "ready")
    assert max(comparison.results["a"].samples_ms) < 20
