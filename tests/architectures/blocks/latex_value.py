"""The value of a formula in LaTeX, so that what a page shows is tested, not only what is computed."""

import math
import re
from collections.abc import Mapping
from itertools import pairwise

from course_lib.architectures.blocks.layers import round_channels

FUNCTIONS = {"floor": math.floor, "ceil": math.ceil, "max": max, "round_8": round_channels}

SPELLINGS = [
    (r"\\frac\{((?:[^{}]|\{[^{}]*\})*)\}\{((?:[^{}]|\{[^{}]*\})*)\}", r"((\1)/(\2))"),
    (r"\\lfloor(.*?)\\rfloor", r" floor(\1)"),
    (r"\\lceil(.*?)\\rceil", r" ceil(\1)"),
    (r"\\max", " max"),
    (r"\\mathrm\{round\}_8", " round_8"),
    (r"\[(\w)>1\]", r" \1_above_1 "),
    (r"\[\\text\{shape changes\}\]", " changes "),
    (r"H'W'", " H_out W_out "),
    (r"([HW])'", r" \1_out "),
    (r"C_\{(\w+)\}", r" C_\1 "),
    (r"\^2", "**2"),
]


def latex_value(formula: str, symbols: Mapping[str, int]) -> float:
    """Return the value of "A, \\quad X = B, …": X is worked out first, later ones before earlier ones.

    Definitions with ≈ are not for calculating; their symbols must be given.
    """
    main, *definitions = formula.split(r", \quad ")
    known: dict[str, float] = dict(symbols)
    waiting = [part.split(" = ") for part in definitions if r"\approx" not in part]
    while waiting:
        name, text = waiting.pop(0)
        try:
            known[name] = _value(text, known)
        except NameError:
            waiting.append([name, text])
    return _value(main, known)


def _value(text: str, known: Mapping[str, float]) -> float:
    for pattern, spelling in SPELLINGS:
        text = re.sub(pattern, spelling, text)
    tokens = re.findall(r"[A-Za-z]\w*|\d+|\*\*|[-+/(),]", text)
    # Where two factors stand beside each other, LaTeX means their product.
    source = tokens[0]
    for left, right in pairwise(tokens):
        ends = re.fullmatch(r"\w+|\)", left) and left not in FUNCTIONS
        source += " * " + right if ends and re.fullmatch(r"\w+|\(", right) else " " + right
    return float(eval(source, {"__builtins__": {}}, {**FUNCTIONS, **known}))
