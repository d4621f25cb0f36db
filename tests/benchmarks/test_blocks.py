"""The benchmark of the blocks: what the grid compares, and that a wrong formula would be told."""

from dataclasses import replace

import pytest

from benchmarks import blocks
from benchmarks.blocks import (
    CASES,
    GRID,
    HEADLINE,
    QUICK_CASES,
    QUICK_GRID,
    check_block,
    formula_figures,
    grid_shapes,
    separable_figures,
)
from course_lib.architectures.blocks.catalogue import BLOCKS, BlockShape
from tests.benchmarks.test_separable_latency import separable_case

TINY = {**{knob: values[:1] for knob, values in GRID.items()}, "in_channels": (24,), "groups": (1, 3, 5)}


def test_only_the_knobs_of_a_block_are_turned() -> None:
    assert len(list(grid_shapes("standard", TINY))) == 3
    assert list(grid_shapes("separable", TINY)) == [BlockShape(24, 24, 7, 3, 1, 1, 1)]


@pytest.mark.parametrize("name", BLOCKS)
def test_both_grids_hold_shapes_that_every_block_accepts(name: str) -> None:
    for grid in (GRID, QUICK_GRID):
        kind, kernels = BLOCKS[name], {shape.kernel for shape in grid_shapes(name, grid)}
        assert kind.macs(next(s for s in grid_shapes(name, grid) if s.in_channels == s.out_channels)) > 0
        assert kernels == ({3, 5} if "kernel" in kind.knobs else {3})


def test_refused_shapes_are_counted_and_the_others_compared() -> None:
    found = check_block("standard", TINY)
    assert found == {
        "formula_equals_counted": True,
        "shapes_compared": 2,
        "shapes_refused": 1,  # 5 groups do not divide 24 channels
        "different": [],
    }


def test_a_formula_that_is_wrong_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    right = BLOCKS["separable"]
    monkeypatch.setitem(BLOCKS, "separable", replace(right, macs=lambda shape: right.macs(shape) + 1))
    found = check_block("separable", TINY)
    assert not found["formula_equals_counted"]
    (difference,) = found["different"]
    macs, params = difference["counted"]
    assert difference["formula"] == (macs + 1, params)
    assert not formula_figures({"separable": found, "fire": check_block("fire", TINY)})[
        "formula_equals_counted"
    ]


def test_a_block_of_which_nothing_was_compared_does_not_count_as_equal() -> None:
    found = check_block("standard", {**TINY, "groups": (5,)})
    assert (found["shapes_compared"], found["formula_equals_counted"]) == (0, False)


def test_the_headline_is_among_the_cases_of_both_runs() -> None:
    assert CASES.count(HEADLINE) == QUICK_CASES.count(HEADLINE) == 1
    assert all(shape.out_channels == 2 * shape.in_channels for shape in CASES)


def test_the_figures_are_those_of_the_headline_case() -> None:
    other, headline = separable_case(ratio=8.6), separable_case(ratio=3.0)
    other = replace(other, shape=replace(HEADLINE, kernel=5))
    figures = separable_figures([other, replace(headline, shape=HEADLINE)])
    assert figures["separable_ratio"] == pytest.approx(9 * 128 / 137)
    assert figures["latency_ratio"] == 3.0
    assert figures["explanation"].startswith("3.00 times measured, 8.41 promised: ")
    assert (figures["cases_that_follow_macs"], figures["cases_measured"]) == (0, 2)
    assert [case["kernel"] for case in figures["cases"]] == [5, 3]


@pytest.mark.slow
def test_a_whole_run_has_all_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "QUICK_GRID", TINY)
    monkeypatch.setattr(blocks, "QUICK_CASES", [HEADLINE])
    monkeypatch.setattr(blocks, "QUICK_ROUNDS", 10)
    figures = blocks.measure(quick=True)
    assert figures["formula_equals_counted"] is True
    assert figures["blocks_checked"] == len(BLOCKS)
    low, high = figures["latency_ratio_interval"]
    assert 0 < low <= figures["latency_ratio"] <= high
    (case,) = figures["cases"]
    assert case["parts"]["standard"]["macs"] == 784 * 9 * 64 * 128
    assert all(part["p50_us"] > 0 for part in case["parts"].values())
