import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from course_lib.edge import Candidate, EdgeLimits, EdgeWeights, choose, edge_objective
from course_lib.edge.objective import is_number
from course_lib.errors import MeasurementError, SettingError, UnknownNameError

SLOW = Candidate(
    name="slow",
    latency_ms=2.0,
    energy_mj=10.0,
    bandwidth_bytes=100_000,
    cost=0.5,
    memory_bytes=1_000_000,
    macs=3_000_000,
    accuracy=0.92,
)
FAST = replace(SLOW, name="fast", latency_ms=1.0, bandwidth_bytes=300_000, accuracy=0.90)
PAIR = (SLOW, FAST)

amounts = st.floats(0.001, 1000)
candidates = st.lists(
    st.builds(
        Candidate,
        name=st.uuids().map(str),
        latency_ms=amounts,
        energy_mj=amounts,
        bandwidth_bytes=amounts.map(lambda value: 1000 * value),
        cost=amounts,
        memory_bytes=amounts,
        macs=st.integers(0, 1000),
        accuracy=st.floats(0, 1),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda candidate: candidate.name,
)
prices = st.builds(EdgeWeights, per_ms=amounts, per_mj=amounts, per_kb=amounts, per_cost=amounts)
limits = st.builds(EdgeLimits, memory_bytes=amounts, macs=amounts, power_w=amounts, accuracy=st.floats(0, 1))


def test_the_worked_example() -> None:
    weights = EdgeWeights(per_ms=1.0, per_kb=0.01)
    assert [edge_objective(candidate, weights) for candidate in PAIR] == pytest.approx([3.0, 4.0])
    assert choose(PAIR, weights).best is SLOW
    assert choose(PAIR, EdgeWeights(per_ms=2.1, per_kb=0.01)).best is FAST


def test_all_four_terms_by_hand() -> None:
    weights = EdgeWeights(per_ms=3, per_mj=0.1, per_kb=0.02, per_cost=4)
    assert edge_objective(SLOW, weights) == pytest.approx(3 * 2 + 0.1 * 10 + 0.02 * 100 + 4 * 0.5)


def test_power_is_energy_by_time() -> None:
    assert SLOW.power_w == 5.0


@pytest.mark.parametrize(
    ("limit", "phrase"),
    [
        (EdgeLimits(memory_bytes=999_999), "needs 1.00 MB of 1.00 MB memory"),
        (EdgeLimits(macs=2e6), "computes 3,000,000 of 2,000,000 MACs"),
        (EdgeLimits(power_w=4), "draws 5.00 of 4.00 W"),
        (EdgeLimits(accuracy=0.93), "is right in 92.00% of the required 93.00%"),
    ],
)
def test_each_limit_is_kept_at_its_bound_and_named_when_broken(limit: EdgeLimits, phrase: str) -> None:
    assert limit.broken_by(SLOW) == [phrase]
    at_bound = EdgeLimits(memory_bytes=1_000_000, macs=3_000_000, power_w=5.0, accuracy=0.92)
    assert at_bound.broken_by(SLOW) == []


def test_a_limit_outweighs_any_objective() -> None:
    choice = choose(PAIR, EdgeWeights(per_ms=100.0), EdgeLimits(accuracy=0.91))
    assert choice.best is SLOW
    assert choice.why("fast") == "fast is out: it is right in 90.00% of the required 91.00%."
    assert choice.why("slow") == "slow keeps all limits at the smallest objective, 200."
    assert [row["verdict"] for row in choice.table_rows()] == [
        "best",
        "is right in 90.00% of the required 91.00%",
    ]


def test_a_dearer_candidate_is_compared_with_the_best() -> None:
    choice = choose(PAIR, EdgeWeights(per_ms=1.0))
    assert choice.why("slow") == (
        "slow keeps all limits, but its objective of 2.00 is above the 1.00 of fast."
    )


def test_where_nothing_keeps_the_limits_nothing_is_chosen() -> None:
    choice = choose(PAIR, EdgeWeights(per_ms=1.0), EdgeLimits(accuracy=0.99))
    assert choice.best is None
    assert "slow is out" in choice.why("slow")
    assert "best" not in str(choice)


@given(candidates=candidates, weights=prices, limits=limits)
def test_agrees_with_an_integer_programme(candidates, weights, limits) -> None:
    choice = choose(candidates, weights, limits)
    needs = np.array([[c.memory_bytes, c.macs, c.power_w, -c.accuracy] for c in candidates]).T
    bounds = np.array([limits.memory_bytes, limits.macs, limits.power_w, -limits.accuracy])
    # One at most is picked, so each column has to keep the bounds by itself.
    allowed = (needs <= bounds[:, None]).all(axis=0)
    found = milp(
        np.array(choice.objectives),
        integrality=np.ones(len(candidates)),
        bounds=Bounds(0, allowed.astype(float)),
        constraints=LinearConstraint(np.ones(len(candidates)), 1, 1),
    )
    if choice.best is None:
        assert not found.success
    else:
        assert min(
            o for o, b in zip(choice.objectives, choice.broken, strict=True) if not b
        ) == pytest.approx(found.fun)


@given(candidates=candidates, weights=prices, factor=st.floats(0.1, 10))
def test_only_the_ratios_of_the_weights_matter(candidates, weights, factor) -> None:
    scaled = EdgeWeights(
        per_ms=factor * weights.per_ms,
        per_mj=factor * weights.per_mj,
        per_kb=factor * weights.per_kb,
        per_cost=factor * weights.per_cost,
    )
    before, after = choose(candidates, weights), choose(candidates, scaled)
    best = dict(zip((c.name for c in candidates), after.objectives, strict=True))[before.best.name]
    assert best == pytest.approx(min(after.objectives))


@given(candidates=candidates, weights=prices, limits=limits)
def test_tighter_limits_never_help(candidates, weights, limits) -> None:
    free, bound = choose(candidates, weights), choose(candidates, weights, limits)
    if bound.best is not None:
        assert edge_objective(bound.best, weights) >= edge_objective(free.best, weights)


def test_bad_input_gets_one_sentence() -> None:
    with pytest.raises(MeasurementError, match=r"slow has energy_mj=-1; pass a measured number"):
        replace(SLOW, energy_mj=-1)
    with pytest.raises(MeasurementError, match=r"slow has accuracy=nan; pass a measured number"):
        replace(SLOW, accuracy=math.nan)
    with pytest.raises(MeasurementError, match=r"slow has latency_ms=0; measure it"):
        replace(SLOW, latency_ms=0)
    with pytest.raises(MeasurementError, match=r"^slow has energy_mj=None; pass a measured number of at lea"):
        replace(SLOW, energy_mj=None)
    with pytest.raises(SettingError, match=r"^per_ms='1' is not a price: pass a number of 0 or more, "):
        EdgeWeights(per_ms="1")
    with pytest.raises(SettingError, match=r"per_kb=-0.5 is not a price: .* EdgeWeights\(per_kb=1.0\)"):
        EdgeWeights(per_kb=-0.5)
    with pytest.raises(SettingError, match=r"choose got the candidates \[\]: pass at least one"):
        choose([], EdgeWeights())
    with pytest.raises(SettingError, match="each with a name of its own"):
        choose([SLOW, SLOW], EdgeWeights())
    with pytest.raises(UnknownNameError, match=r"no candidate called 'fats'.*Did you mean 'fast'"):
        choose(PAIR, EdgeWeights()).why("fats")


@given(st.integers() | st.floats())
def test_numbers_of_python_and_numpy_are_numbers_and_nothing_else(value: float) -> None:
    assert is_number(value)
    assert is_number(np.float32(1))
    assert is_number(np.int64(1))
    assert not any(map(is_number, (str(value), None, [value], np.ones(2))))
