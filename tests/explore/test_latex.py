from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.architectures.blocks.catalogue import BLOCKS
from course_lib.errors import SettingError
from course_lib.explore.latex import Formula, compute, read_formula, with_numbers


def test_the_worked_example() -> None:
    formula = read_formula(r"2 C_{in} S, \quad S = \max(1, \lfloor \frac{C_{in}}{4} \rfloor)")
    values = compute(formula, {"C_in": 10}, {})
    assert (values["S"], values[""]) == (2, 40)


def test_symbols_with_primes_and_indices_are_told_apart() -> None:
    formula = read_formula("H' W + H W' C_1 - m_{out}")
    known = {"H'": 2, "W": 3, "H": 5, "W'": 7, "C_1": 11, "m_out": 1}
    assert compute(formula, known, {})[""] == 2 * 3 + 5 * 7 * 11 - 1


def test_definitions_may_use_later_ones() -> None:
    formula = read_formula(r"A B, \quad A = B + 1, \quad B = \frac{x}{2}")
    assert compute(formula, {"x": 7}, {})[""] == Fraction(9, 2) * Fraction(7, 2)


@pytest.mark.parametrize(("t", "factor"), [(1, 0), (2, 1)])
def test_a_bracket_is_one_where_its_condition_holds(t: int, factor: int) -> None:
    assert compute(read_formula("[t>1] 5 + [\\text{asked for}]"), {"t": t, "asked for": 1}, {})[""] == (
        5 * factor + 1
    )


def test_what_is_found_otherwise_is_named() -> None:
    formula = read_formula(r"G_1 + G_2, \quad M = 4, \quad G_1, G_2 \approx \sqrt{M}")
    assert list(formula.found) == ["G_1", "G_2"]
    assert formula.found["G_2"].kind == "root"
    assert compute(formula, {"G_1": 2, "G_2": 4}, {})[""] == 6


def test_a_function_is_called_by_its_name_and_index() -> None:
    values = compute(read_formula(r"\mathrm{round}_8(\frac{x}{4})"), {"x": 40}, {"round_8": lambda x: 8 * x})
    assert values[""] == 80


NUMBERS = st.integers(1, 500)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_python_finds_the_same(a: int, b: int, c: int) -> None:
    text = r"a (b + c)^2 - \lfloor \frac{a b}{c} \rfloor + \lceil \frac{b}{c} \rceil \max(a, b)"
    expected = a * (b + c) ** 2 - floor(Fraction(a * b, c)) + ceil(Fraction(b, c)) * max(a, b)
    formula = read_formula(text)
    values = compute(formula, {"a": a, "b": b, "c": c}, {})
    assert values[""] == expected
    numbers = with_numbers(formula.main, values)
    assert compute(Formula(numbers, {}, {}), {}, {})[""] == expected


@pytest.mark.parametrize("name", BLOCKS)
def test_every_formula_of_the_catalogue_can_be_read(name: str) -> None:
    assert read_formula(BLOCKS[name].formula).main.kind in ("product", "sum")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a + ", "'a + ' lacks a number or a symbol before 'its end'."),
        ("a)", "'a)' cannot be read from ')' on; check its brackets."),
        ("(a", "'(a' ends early or lacks ')'."),
        (r"\log a", r"'\\log a' uses '\\log', which is not known here."),
        ("a; b", "'a; b' is no formula that can be read; see course_lib.explore.latex."),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(SettingError) as caught:
        read_formula(text)
    assert str(caught.value) == sentence


def test_a_symbol_or_a_function_without_a_value_is_refused() -> None:
    with pytest.raises(SettingError) as caught:
        compute(read_formula("a b"), {"a": 1}, {})
    assert str(caught.value) == "The formula uses b, which has no value; known are ['a']."
    with pytest.raises(SettingError) as caught:
        compute(read_formula(r"\mathrm{cube}(2)"), {}, {})
    assert str(caught.value) == "The formula uses cube, which cannot be computed here."
