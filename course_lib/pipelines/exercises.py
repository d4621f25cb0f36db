"""Feedback on exercises: what was expected, why it matters, and which slip a wrong answer looks like.

An exercise that nobody has touched yet is no error: it says what to do. Nothing here counts points.

>>> print(check_value(9, 36, what="the MACs", why="they bound the work.", mistakes={9: "One a pixel."}))
Not yet: expected 36 for the MACs, and your answer is 9. One a pixel. Why it matters: they bound the work.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

State = Literal["open", "wrong", "right"]

HEADINGS: dict[State, str] = {"open": "Open", "wrong": "Not yet", "right": "Right"}
COLOURS: dict[State, str] = {"open": "#5c5c66", "wrong": "#b4460b", "right": "#15803d"}
UNTOUCHED = (None, ...)
"""What the cells given to students hold in place of an answer."""


@dataclass(frozen=True, repr=False)
class Feedback:
    """What an exercise says about an answer: still open, wrong or right, and in words."""

    state: State
    text: str

    @property
    def passed(self) -> bool:
        """Whether the answer is right."""
        return self.state == "right"

    def __str__(self) -> str:
        return f"{HEADINGS[self.state]}: {self.text}"

    __repr__ = __str__  # what a page without HTML shows

    def _repr_html_(self) -> str:
        colour, heading = COLOURS[self.state], HEADINGS[self.state]
        style = f"border-left: 6px solid {colour}; padding: 4px 12px;"
        return (
            f'<p role="status" style="{style}"><strong style="color: {colour};">{heading}.</strong> '
            f"{escape(_sentence(self.text))}</p>"
        )


def check_value(
    answer: object,
    expected: float | str,
    *,
    what: str,
    why: str,
    relative_tolerance: float = 1e-6,
    mistakes: Mapping[Any, str] | None = None,
) -> Feedback:
    """Compare one answer, a number or a name, with the expected one.

    Parameters
    ----------
    answer
        The student's; None and ``...`` count as not answered yet.
    what
        What was asked for, as part of a sentence: ``"the MACs of the layer"``.
    why
        Why it matters, as the end of a sentence: ``"it bounds the work."``.
    relative_tolerance
        How far a number may be off, as a fraction of the expected one.
    mistakes
        Wrong answer → the sentence that explains how one comes to it.
    """
    if _is_one_of(answer, UNTOUCHED):
        return Feedback("open", f"put your answer for {what} in the place of ..., and run both cells again.")
    if _agree(answer, expected, relative_tolerance):
        return Feedback("right", f"{_text(expected)} for {what}. {_sentence(why)}")
    slips = [slip for wrong, slip in (mistakes or {}).items() if _agree(answer, wrong, relative_tolerance)]
    said = f"expected {_text(expected)} for {what}, and your answer is {_text(answer)}."
    return Feedback("wrong", " ".join([said, *slips, f"Why it matters: {why}"]))


def check_function(
    function: Callable[..., Any],
    cases: Sequence[tuple[Any, ...]],
    accepts: Callable[..., bool],
    *,
    expected: Callable[..., Any],
    what: str,
    why: str,
    mistakes: Mapping[str, Callable[..., Any]] | None = None,
) -> Feedback:
    """Call a student's function on cases, and report the first on which it is wrong.

    Parameters
    ----------
    function
        The student's; one that returns None or ``...`` for every case counts as not written yet.
    cases
        The arguments of each call; the function gets copies, so that it may change them.
    accepts
        Called with what the function returned and the arguments: whether that is right.
    expected
        The reference; called with the arguments, for the message.
    what, why
        As in `check_value`.
    mistakes
        Explaining sentence → the wrong function that it belongs to, recognized by giving the same results.
    """
    returned = []
    for arguments in cases:
        try:
            returned.append(function(*deepcopy(arguments)))
        except Exception as error:  # whatever a student's code raises belongs into the feedback
            told = f"{what} stopped with {type(error).__name__}: {error}."
            return Feedback("wrong", f"{told} It was called with {_call(arguments)}.")
    if all(_is_one_of(value, UNTOUCHED) for value in returned):
        return Feedback("open", f"write {what} in the place of ..., and run both cells again.")
    for value, arguments in zip(returned, cases, strict=True):
        if _is_number(value) and accepts(value, *arguments):
            continue
        slips = [slip for slip, wrong in (mistakes or {}).items() if _same(wrong, returned, cases)]
        got = f"for {_call(arguments)} {what} gives {_text(value)}, expected {_text(expected(*arguments))}."
        return Feedback("wrong", " ".join([got, *slips, f"Why it matters: {why}"]))
    return Feedback("right", f"{what} agrees with the reference on all {len(cases)} cases. {_sentence(why)}")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _same(wrong: Callable[..., Any], returned: Sequence[Any], cases: Sequence[tuple[Any, ...]]) -> bool:
    return all(
        _agree(value, wrong(*arguments), 1e-6) for value, arguments in zip(returned, cases, strict=True)
    )


def _is_one_of(value: object, candidates: Sequence[object]) -> bool:
    # By identity: an array compared with == would give an array.
    return any(value is candidate for candidate in candidates)


def _is_number(value: object) -> bool:
    try:
        return math.isfinite(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False


def _agree(answer: object, expected: object, relative_tolerance: float) -> bool:
    if isinstance(expected, str) or isinstance(answer, str):
        return isinstance(answer, str) and isinstance(expected, str) and answer.strip() == expected
    if not (_is_number(answer) and _is_number(expected)):
        return False
    return math.isclose(float(answer), float(expected), rel_tol=relative_tolerance)  # type: ignore[arg-type]


def _text(value: object) -> str:
    if isinstance(value, bool) or not _is_number(value) or isinstance(value, str):
        return repr(value)
    number = float(value)  # type: ignore[arg-type]
    return f"{number:,.0f}" if number.is_integer() and abs(number) < 1e15 else f"{number:.4g}"


def _call(arguments: tuple[Any, ...]) -> str:
    """Write arguments as a reader wants them: whole if short, otherwise by their beginning."""
    texts = [repr(argument) for argument in arguments]
    return ", ".join(text if len(text) <= 60 else f"{text[:57]}…" for text in texts)
