"""Predict first, then look: a guess that has to be locked before the answer opens.

Whoever has written down a guess learns from the answer even where the guess was right; whoever reads the
answer first believes to have known it. So the answer does not reach the page before the guess is locked.
Locking works with the mouse, with the keyboard and in code; answers that wait for it then open by themselves.

>>> guess = Prediction("How long does one picture take?", unit="ms")
>>> sealed = guess.reveal(0.5)
>>> str(sealed)
'The answer is sealed: lock your guess above, and it opens here by itself.'
>>> guess.lock(2)
>>> str(sealed)
'You said 2 ms, the answer is 0.500 ms: your guess is 4.0 times too high.'
"""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import anywidget
import ipywidgets
import traitlets

from course_lib.benchmarking.number_text import significant
from course_lib.errors import SettingError, UnknownNameError

Guess: TypeAlias = str | float

SEALED = "The answer is sealed: lock your guess above, and it opens here by itself."
CLOSE = 1.25
"""A guessed number within this factor of the answer counts as close."""


class Showable(Protocol):
    """Anything with a picture of itself in HTML: measured results, charts, feedback."""

    def _repr_html_(self) -> str: ...


class Reveal:
    """The place where an answer appears; until the guess is locked it holds one sentence and no answer."""

    def __init__(self) -> None:
        self._view = ipywidgets.HTML()
        self._show(SEALED)

    def __str__(self) -> str:
        return self._sentence

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return {**self._view._repr_mimebundle_(), "text/plain": self._sentence}

    def _show(self, sentence: str, because: str = "", show: Showable | None = None) -> None:
        self._sentence = sentence
        shown = show._repr_html_() if show is not None else ""
        self._view.value = f"<p><strong>{escape(sentence)}</strong> {escape(because)}</p>{shown}"


class Prediction(anywidget.AnyWidget):
    """A question whose answer is sealed until a guess is locked; display it in a cell of its own.

    Parameters
    ----------
    question
        What to predict.
    options
        The answers to choose from, two or more; with none, a number is asked for.
    unit
        What a number counts, for example ``"ms"``.

    Raises
    ------
    SettingError
        If there is just one option, or two are equal.
    """

    _esm = Path(__file__).parent / "prediction.js"
    _css = Path(__file__).parent / "prediction.css"

    question = traitlets.Unicode().tag(sync=True)
    options: traitlets.List[str] = traitlets.List().tag(sync=True)
    unit = traitlets.Unicode().tag(sync=True)
    locked = traitlets.Unicode(help="The locked guess in words, empty until then.").tag(sync=True)
    hint = traitlets.Unicode().tag(sync=True)

    def __init__(self, question: str, options: Sequence[str] = (), *, unit: str = "") -> None:
        if len(options) == 1 or len(set(options)) < len(options):
            raise SettingError(
                f"A prediction got the options {tuple(options)!r}: pass two or more different ones, or none "
                "to ask for a number."
            )
        self.guess: Guess | None = None
        self._waiting: list[Callable[[], None]] = []
        super().__init__(question=question, options=list(options), unit=unit)
        self.on_msg(self._asked)

    def __repr__(self) -> str:
        return f"Predict: {self.question}"

    def lock(self, guess: Guess) -> None:
        """Lock a guess, as the button does; this is final, though the same guess may be locked again.

        Parameters
        ----------
        guess
            One of the options, or a number where there are none.

        Raises
        ------
        UnknownNameError
            If it is not one of the options; the message lists them.
        SettingError
            If it is not a number where one is asked for, or another guess is locked already.
        """
        checked = self._checked(guess)
        if self.guess not in (None, checked):
            raise SettingError(
                f"The guess {self._text(self.guess)!r} is locked already; "
                "run the cell that asks the question again to start over."
            )
        self.guess = checked
        self.locked = self._text(checked)
        while self._waiting:
            self._waiting.pop(0)()

    def reveal(self, answer: Guess, because: str = "", show: Showable | None = None) -> Reveal:
        """Return the place where the answer opens: at once if a guess is locked, otherwise when it is.

        Parameters
        ----------
        answer
            One of the options, or the number.
        because
            What follows the comparison of guess and answer: why it is so.
        show
            A chart or a measured result to show with it, sealed as well.

        Raises
        ------
        UnknownNameError
            If the answer is not one of the options.
        SettingError
            If it is not a number where one is asked for.
        """
        answer = self._checked(answer)
        place = Reveal()
        self._waiting.append(lambda: place._show(self._verdict(answer), because, show))
        if self.guess is not None:
            self._waiting.pop()()
        return place

    def _asked(self, _: object, content: Mapping[str, Any], buffers: object) -> None:
        if content.get("kind") != "lock":
            return
        try:
            self.lock(content.get("guess", ""))
        except (SettingError, UnknownNameError):
            asked = "choose one of the answers" if self.options else "type a number, such as 2.5"
            self.hint = f"Nothing is locked yet: {asked}, then press the button."

    def _checked(self, guess: Guess) -> Guess:
        if self.options:
            if guess not in self.options:
                raise UnknownNameError("answer", guess, self.options)
            return guess
        try:
            number = float(guess)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise SettingError(f"{guess!r} is not a number; guess one, for example guess.lock(2.5).")
        return number

    def _text(self, value: Guess | None) -> str:
        return f"{value:g} {self.unit}".strip() if isinstance(value, float) else str(value)

    def _verdict(self, answer: Guess) -> str:
        guess = self.guess
        if isinstance(guess, float) and isinstance(answer, float):
            said = f"You said {self._text(guess)}, the answer is {significant(answer)} {self.unit}".rstrip()
            return f"{said}: {_distance(guess, answer)}."
        if guess == answer:
            return f"You said “{guess}”, and so it is."
        return f"You said “{guess}”, but the answer is “{answer}”."


def _distance(guess: float, answer: float) -> str:
    """Say how far off a guess is: by a factor where both are positive, otherwise by the difference."""
    if guess <= 0 or answer <= 0:
        return f"you are off by {significant(abs(guess - answer))}"
    factor = max(guess, answer) / min(guess, answer)
    if factor <= CLOSE:
        return "that is close"
    return f"your guess is {significant(factor, 2)} times too {'high' if guess > answer else 'low'}"
