import xml.etree.ElementTree as ElementTree

import pytest

from course_lib.architectures.blocks.catalogue import BLOCKS
from course_lib.explore.latex import read_formula
from course_lib.widgets.formula_markup import TIMES, equation, in_terms, markup, symbol


def text_of(mathml: str) -> str:
    """Return the characters that a browser shows, without their places."""
    return "".join(ElementTree.fromstring(f"<p>{mathml}</p>").itertext())


def test_factors_have_a_dot_between_numbers_only() -> None:
    product = read_formula("2 3 (4 + 5)").main
    assert text_of(markup(product, TIMES)) == "2⋅3⋅(4+5)"
    assert text_of(markup(read_formula("a b").main)) == "ab"


@pytest.mark.parametrize(
    ("latex", "shown"),
    [
        ("H' K^2", "H′K²"),
        ("K^n", "Kn"),
        (r"\frac{C_{in}}{g}", "Cing"),
        (r"\lfloor \frac{x}{4} \rfloor - \lceil y \rceil", "⌊x4⌋−⌈y⌉"),
        (r"\max(1, x)", "max(1,x)"),
        (r"\mathrm{round}_8(x)", "round8(x)"),
        (r"[t>1] + [\text{shape changes}]", "[t>1]+[shape changes]"),
        (r"\sqrt{M}", "M"),
        ("1000000", "1,000,000"),
    ],
)
def test_every_kind_of_part_is_shown(latex: str, shown: str) -> None:
    assert text_of(markup(read_formula(latex).main)) == shown


def test_fractions_powers_and_indices_have_their_elements() -> None:
    assert markup(read_formula(r"\frac{a}{2}").main) == "<mfrac><mi>a</mi><mn>2</mn></mfrac>"
    assert markup(read_formula("a^n").main) == "<msup><mi>a</mi><mi>n</mi></msup>"
    assert markup(read_formula(r"\sqrt{a}").main) == "<msqrt><mi>a</mi></msqrt>"
    assert symbol("G_1") == "<msub><mi>G</mi><mn>1</mn></msub>"


def test_a_sum_comes_as_one_formula_a_term() -> None:
    terms = in_terms("<mi>x</mi><mo>=</mo>", read_formula("a - b + c").main, tail="<mo>=</mo><mn>3</mn>")
    assert [text_of(term) for term in terms] == ["x=a", "−b", "+c=3"]
    (single,) = in_terms("", read_formula("a b").main, tail="<mo>=</mo><mn>3</mn>")
    assert text_of(single) == "ab=3"


def test_sides_are_joined() -> None:
    assert equation("<mi>a</mi>", "<mn>1</mn>") == "<math><mi>a</mi><mo>=</mo><mn>1</mn></math>"


@pytest.mark.parametrize("name", BLOCKS)
def test_every_formula_of_the_catalogue_is_sound_markup(name: str) -> None:
    formula = read_formula(BLOCKS[name].formula)
    shown = "".join(in_terms("", formula.main)) + "".join(
        equation(symbol(key), markup(part)) for key, part in formula.definitions.items()
    )
    assert {each.tag for each in ElementTree.fromstring(f"<p>{shown}</p>")} == {"math"}
