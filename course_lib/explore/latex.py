r"""The part of LaTeX that cost formulas are written in, read into a tree that can be computed and shown.

A product is written without a sign: ``H'W' (K^2 + C_{out})`` is the product of H', W' and a sum. A bracket
such as ``[t>1]`` is 1 where its condition holds and 0 elsewhere. What a formula needs beside the shape
follows after ``, \quad``: ``E = t C_{in}``; a definition with \approx names numbers that are found otherwise.

Worked example: ``2 C_{in} S, \quad S = \max(1, \lfloor \frac{C_{in}}{4} \rfloor)`` with C_in = 10: S is 2,
because ⌊10/4⌋ = 2, and the formula's value is 2·10·2 = 40.

Left out: everything that the formulas of the blocks do not use.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from course_lib.errors import SettingError

_TOKEN = re.compile(r"\\(?:mathrm|text)\{[^}]*\}|\\[a-zA-Z]+|\d+|[A-Za-z]'?|[\[\](){}^_+\-=<>,]")
_ENDS = {"+", "-", ")", "]", "}", ",", ">", "=", r"\rfloor", r"\rceil", ""}
_CLOSING = {"(": ")", "{": "}", r"\lfloor": r"\rfloor", r"\lceil": r"\rceil"}

Function = Callable[..., int]
Known = Mapping[str, int]


@dataclass(frozen=True)
class Part:
    """A piece of a formula.

    Parameters
    ----------
    kind
        "number", "symbol", "product", "sum", "power", "fraction", "root", "group" (in parentheses),
        "floor", "ceiling", "call", "condition" (greater than), or "words" (a condition in words).
    text
        Of a number, a symbol, words; the name of a function; a sign for each part of a sum.
    parts
        What it is made of.
    """

    kind: str
    text: str = ""
    parts: tuple["Part", ...] = ()


@dataclass(frozen=True)
class Formula:
    """A formula, and what the symbols in it stand for.

    Parameters
    ----------
    main
        What is computed.
    definitions
        Symbol → the part that gives its value.
    found
        Symbols whose values are found otherwise, and the part that they are near.
    """

    main: Part
    definitions: Mapping[str, Part]
    found: Mapping[str, Part]


def read_formula(latex: str) -> Formula:
    """Return a formula as a tree.

    Raises
    ------
    SettingError
        If the text uses more of LaTeX than is known here.

    Examples
    --------
    >>> read_formula("K^2 C_{in}").main.kind
    'product'
    """
    main, *rest = re.split(r",\s*\\quad\s*", latex)
    definitions: dict[str, Part] = {}
    found: dict[str, Part] = {}
    for text in rest:
        into, sign = (found, r"\approx") if r"\approx" in text else (definitions, "=")
        names, _, value = text.partition(sign)
        part = _Reader(value).whole()
        for name in names.split(","):
            into[_Reader(name).whole().text] = part
    return Formula(_Reader(main).whole(), definitions, found)


def compute(formula: Formula, known: Known, functions: Mapping[str, Function]) -> dict[str, Fraction]:
    """Return the value of every symbol that the formula uses or defines, and of the formula as "".

    Parameters
    ----------
    known
        Values of the symbols that are not defined in the formula, and of conditions in words.
    functions
        What names such as "round_8" compute; "max" is known.

    Raises
    ------
    SettingError
        If a symbol or a function has no value.
    """
    values = {name: Fraction(value) for name, value in known.items()}

    def value_of(name: str) -> Fraction:
        if name not in values:
            if name not in formula.definitions:
                raise SettingError(f"The formula uses {name}, which has no value; known are {sorted(known)}.")
            values[name] = _value(formula.definitions[name], value_of, {"max": max, **functions})
        return values[name]

    for name in formula.definitions:
        value_of(name)
    values[""] = _value(formula.main, value_of, {"max": max, **functions})
    return values


def with_numbers(part: Part, values: Mapping[str, Fraction]) -> Part:
    """Return the same part with a number in the place of every symbol and of conditions in words."""
    if part.kind in ("symbol", "words"):
        return Part("number", f"{int(values[part.text])}")
    return replace(part, parts=tuple(with_numbers(each, values) for each in part.parts))


def _value(part: Part, value_of: Callable[[str], Fraction], functions: Mapping[str, Function]) -> Fraction:
    if part.kind == "number":
        return Fraction(part.text)
    if part.kind in ("symbol", "words"):
        return value_of(part.text)
    values = [_value(each, value_of, functions) for each in part.parts]
    match part.kind:
        case "product":
            return math.prod(values, start=Fraction(1))
        case "sum":
            return sum((-v if s == "-" else v for s, v in zip(part.text, values, strict=True)), Fraction(0))
        case "power":
            return Fraction(values[0] ** values[1])
        case "fraction":
            return values[0] / values[1]
        case "floor":
            return Fraction(math.floor(values[0]))
        case "ceiling":
            return Fraction(math.ceil(values[0]))
        case "condition":
            return Fraction(values[0] > values[1])
        case "call" if part.text in functions:
            return Fraction(functions[part.text](*values))
        case "group":
            return values[0]
    raise SettingError(f"The formula uses {part.text or part.kind}, which cannot be computed here.")


class _Reader:
    """Reads one expression from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _TOKEN.findall(text)
        if "".join(self.tokens).replace(" ", "") != re.sub(r"\s", "", text):
            raise SettingError(f"{text!r} is no formula that can be read; see course_lib.explore.latex.")

    def whole(self) -> Part:
        part = self.sum()
        if self.tokens:
            raise SettingError(
                f"{self.text!r} cannot be read from {self.tokens[0]!r} on; check its brackets."
            )
        return part

    def sum(self) -> Part:
        signs, parts = "+", [self.product()]
        while self.next in ("+", "-"):
            signs += self.take()
            parts.append(self.product())
        return parts[0] if len(parts) == 1 else Part("sum", signs, tuple(parts))

    def product(self) -> Part:
        parts = []
        while self.next not in _ENDS:
            parts.append(self.power())
        if not parts:
            raise SettingError(f"{self.text!r} lacks a number or a symbol before {self.next or 'its end'!r}.")
        return parts[0] if len(parts) == 1 else Part("product", parts=tuple(parts))

    def power(self) -> Part:
        base = self.atom()
        if self.next != "^":
            return base
        self.take()
        return Part("power", parts=(base, self.atom()))

    def atom(self) -> Part:
        token = self.take()
        if token.isdigit():
            return Part("number", token)
        if token[0].isalpha():
            return Part("symbol", token + self.index())
        if token in _CLOSING:
            inside = self.sum()
            self.take(_CLOSING[token])
            kinds = {"(": "group", r"\lfloor": "floor", r"\lceil": "ceiling"}
            return Part(kinds[token], parts=(inside,)) if token in kinds else inside
        if token == r"\frac":
            return Part("fraction", parts=(self.atom(), self.atom()))
        if token == r"\sqrt":
            return Part("root", parts=(self.atom(),))
        if token == "[":
            return self.condition()
        if token == r"\max" or token.startswith(r"\mathrm"):
            name = "max" if token == r"\max" else re.sub(r".*\{|\}", "", token) + self.index()
            return Part("call", name, self.arguments())
        raise SettingError(f"{self.text!r} uses {token!r}, which is not known here.")

    def condition(self) -> Part:
        if self.next.startswith(r"\text"):
            part = Part("words", re.sub(r".*\{|\}", "", self.take()))
        else:
            left = self.sum()
            self.take(">")
            part = Part("condition", parts=(left, self.sum()))
        self.take("]")
        return part

    def arguments(self) -> tuple[Part, ...]:
        self.take("(")
        found = [self.sum()]
        while self.next == ",":
            self.take()
            found.append(self.sum())
        self.take(")")
        return tuple(found)

    def index(self) -> str:
        """Read a subscript; "" if there is none."""
        if self.next != "_":
            return ""
        self.take()
        token = self.take()
        if token != "{":
            return f"_{token}"
        letters = ""
        while self.next != "}":
            letters += self.take()
        self.take("}")
        return f"_{letters}"

    @property
    def next(self) -> str:
        """The token to come, "" at the end."""
        return self.tokens[0] if self.tokens else ""

    def take(self, expected: str = "") -> str:
        """Return the next token and go on."""
        if not self.tokens or (expected and self.tokens[0] != expected):
            raise SettingError(f"{self.text!r} ends early or lacks {expected or 'a symbol'!r}.")
        token: str = self.tokens.pop(0)
        return token
