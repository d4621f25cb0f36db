"""Ranks by energy and by budget: by hand, against trying everything and an integer programme, and errors."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from course_lib.errors import SettingError
from course_lib.lowrank.ranks import (
    DENSE,
    Choice,
    best_choices,
    cheapest_keeping,
    check_energy,
    cumulative_energy,
    within_budget,
)

HAND = {
    "a": [Choice(DENSE, (), 100, 1.0), Choice("svd", (1,), 40, 0.9)],
    "b": [Choice(DENSE, (), 100, 1.0), Choice("svd", (1,), 60, 0.98)],
}


def chosen_methods(budget):
    return {path: each.method for path, each in within_budget(HAND, budget).items()}


def test_energies_by_hand():
    assert cumulative_energy([6.0, 3.0, 1.0]).tolist() == pytest.approx([0.6, 0.9, 1.0])
    assert cumulative_energy([[4.0, 1.0], [2.0, 1.0]]) == pytest.approx(np.array([[0.5, 0.625], [0.75, 1.0]]))
    assert cumulative_energy([0.0, 0.0]).tolist() == [1.0, 1.0]


def test_the_worked_example():
    assert chosen_methods(170) == {"a": DENSE, "b": "svd"}
    assert chosen_methods(130) == {"a": "svd", "b": "svd"}
    assert chosen_methods(200) == {"a": DENSE, "b": DENSE}
    assert chosen_methods(100) == {"a": "svd", "b": "svd"}


def test_what_the_last_step_saves_too_much_is_spent_again():
    # 159: b's step leaves 160; a's step then saves 60, of which 40 go back to b.
    assert chosen_methods(159) == {"a": "svd", "b": DENSE}


def test_only_the_best_choices_are_offered():
    offered = best_choices("svd", [(1,), (2,), (3,), (4,)], [10, 20, 20, 30], [0.5, 0.7, 0.8, 0.8])
    assert [(each.rank, each.macs, each.energy_kept) for each in offered] == [
        ((1,), 10, 0.5),
        ((3,), 20, 0.8),
    ]


def test_the_cheapest_that_keeps_enough():
    row = [Choice(DENSE, (), 100, 1.0), Choice("svd", (1,), 40, 0.9), Choice("tucker", (1, 1), 30, 0.8)]
    assert cheapest_keeping(row, 0.9).method == "svd"
    assert cheapest_keeping(row, 0.91).method == DENSE
    assert cheapest_keeping(row, 0.5).method == "tucker"


@st.composite
def tables(draw):
    choices = {}
    for layer in range(draw(st.integers(1, 4))):
        dense = draw(st.integers(5, 60))
        row = [Choice(DENSE, (), dense, 1.0)]
        for rank in range(draw(st.integers(0, 4))):
            row.append(
                Choice("svd", (rank,), draw(st.integers(1, dense - 1)), draw(st.integers(0, 100)) / 100)
            )
        choices[f"layer{layer}"] = row
    return choices, draw(st.integers(4, 240))


def totals(chosen):
    return sum(each.macs for each in chosen), sum(each.energy_kept for each in chosen)


@settings(max_examples=80)
@given(tables())
def test_against_trying_everything(problem):
    choices, budget = problem
    outcomes = [totals(each) for each in itertools.product(*choices.values())]
    smallest = min(macs for macs, _ in outcomes)
    if budget < smallest:
        with pytest.raises(SettingError, match=f"the model costs {smallest}; pass a budget"):
            within_budget(choices, budget)
        return
    macs, kept = totals(within_budget(choices, budget).values())
    best = max(energy for cost, energy in outcomes if cost <= budget)
    assert macs <= budget
    # Optimal but for one step of one layer, which loses at most the energy of that layer.
    assert best - 1 <= kept <= best + 1e-12


@given(tables())
def test_no_choice_beats_the_relaxed_programme(problem):
    choices, budget = problem
    assume(budget >= sum(min(each.macs for each in row) for row in choices.values()))
    _, kept = totals(within_budget(choices, budget).values())
    flat = [(path, each) for path, row in choices.items() for each in row]
    found = milp(
        [-each.energy_kept for _, each in flat],
        integrality=np.zeros(len(flat)),
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint([[path == other for path, _ in flat] for other in choices], 1, 1),
            LinearConstraint([each.macs for _, each in flat], ub=budget),
        ],
    )
    # The relaxed programme bounds what any choice can keep; where it chooses whole layers, ours is as good.
    assert kept <= -found.fun + 1e-6
    if np.allclose(found.x, np.round(found.x), atol=1e-6):
        assert kept == pytest.approx(-found.fun, abs=1e-6)


def test_many_fine_choices_come_close_to_the_programme():
    random = np.random.default_rng(0)
    choices = {}
    for layer in range(6):
        kept = cumulative_energy(np.sort(random.pareto(1.5, 40))[::-1])
        cost = int(random.integers(50, 500))
        row = best_choices("svd", [(r,) for r in range(1, 41)], [cost * r for r in range(1, 41)], kept)
        choices[f"layer{layer}"] = [
            Choice(DENSE, (), cost * 30, 1.0),
            *(c for c in row if c.macs < cost * 30),
        ]
    budget = sum(row[0].macs for row in choices.values()) // 3
    flat = [(path, each) for path, row in choices.items() for each in row]
    best = milp(
        [-each.energy_kept for _, each in flat],
        integrality=np.ones(len(flat)),
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint([[path == other for path, _ in flat] for other in choices], 1, 1),
            LinearConstraint([each.macs for _, each in flat], ub=budget),
        ],
    )
    macs, kept = totals(within_budget(choices, budget).values())
    assert macs <= budget
    assert -best.fun - 0.01 <= kept <= -best.fun + 1e-6


def test_a_budget_nothing_can_meet():
    with pytest.raises(SettingError) as error:
        within_budget(HAND, 99)
    assert str(error.value) == (
        "The budget is 99 MACs, but even with rank 1 wherever that saves any the model costs 100; pass a "
        "budget of at least that."
    )


@pytest.mark.parametrize("energy", [0, -0.1, 1.1, float("nan")])
def test_an_energy_out_of_range(energy):
    with pytest.raises(SettingError) as error:
        check_energy(energy)
    assert str(error.value) == (
        f"energy_kept is {energy!r}, but it is the fraction of the weights' energy to keep, above 0 and up "
        "to 1; try energy_kept=0.9."
    )
