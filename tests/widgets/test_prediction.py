import pytest

from course_lib.errors import SettingError, UnknownNameError
from course_lib.widgets.prediction import SEALED, Prediction, Reveal

QUESTION = "How much faster is it?"
OPTIONS = ["not at all", "twice", "ten times"]


class Shown:
    def _repr_html_(self) -> str:
        return "<img alt='the chart'>"


def page_of(shown: Prediction | Reveal) -> str:
    """Return everything that the page is told."""
    return str((shown if isinstance(shown, Prediction) else shown._view).get_state())


def press(prediction: Prediction, guess: object) -> None:
    """Do what the page does when the button is pressed."""
    prediction._handle_custom_msg({"kind": "lock", "guess": guess}, [])


def test_nothing_of_the_answer_reaches_the_page_before_the_guess_is_locked() -> None:
    guess = Prediction(QUESTION, OPTIONS)
    sealed = guess.reveal("ten times", "because of the cache", Shown())
    assert str(sealed) == SEALED
    assert SEALED in page_of(sealed)
    assert "because" not in page_of(sealed)
    assert "chart" not in page_of(sealed)
    assert sealed._repr_mimebundle_()["text/plain"] == SEALED


def test_sealed_answers_open_by_themselves_when_the_guess_is_locked() -> None:
    guess = Prediction(QUESTION, OPTIONS)
    sealed = [guess.reveal("twice", "memory < compute", Shown()), guess.reveal("twice")]
    guess.lock("ten times")
    said = "You said “ten times”, but the answer is “twice”."
    assert [str(place) for place in sealed] == [said, said]
    assert "memory &lt; compute" in page_of(sealed[0])
    assert "<img alt='the chart'>" in page_of(sealed[0]).replace("\\'", "'")


def test_a_right_guess() -> None:
    guess = Prediction(QUESTION, OPTIONS)
    guess.lock("twice")
    assert str(guess.reveal("twice")) == "You said “twice”, and so it is."


@pytest.mark.parametrize(
    ("said", "answer", "verdict"),
    [
        (2, 8, "You said 2 ms, the answer is 8.00 ms: your guess is 4.0 times too low."),
        (10, 0.5, "You said 10 ms, the answer is 0.500 ms: your guess is 20 times too high."),
        (1.1, 1.0, "You said 1.1 ms, the answer is 1.00 ms: that is close."),
        (-1, 0.5, "You said -1 ms, the answer is 0.500 ms: you are off by 1.50."),
    ],
)
def test_numbers_are_compared_by_factor(said: float, answer: float, verdict: str) -> None:
    guess = Prediction("How long?", unit="ms")
    guess.lock(said)
    assert str(guess.reveal(answer)) == verdict


def test_the_button_locks_what_was_chosen() -> None:
    guess = Prediction(QUESTION, OPTIONS)
    sealed = guess.reveal("twice")
    press(guess, "twice")
    assert guess.guess == "twice"
    assert guess.locked == "twice"
    assert str(sealed) == "You said “twice”, and so it is."


@pytest.mark.parametrize(
    ("guess", "chosen", "hint"),
    [
        (Prediction(QUESTION, OPTIONS), "", "choose one of the answers"),
        (Prediction("How long?", unit="ms"), "", "type a number"),
        (Prediction("How long?", unit="ms"), "soon", "type a number"),
        (Prediction("How long?", unit="ms"), "nan", "type a number"),
        (Prediction("How long?", unit="ms"), None, "type a number"),
    ],
)
def test_the_button_asks_again_when_nothing_useful_was_chosen(
    guess: Prediction, chosen: str | None, hint: str
) -> None:
    press(guess, chosen)
    assert guess.guess is None
    assert guess.locked == ""
    assert guess.hint.startswith(f"Nothing is locked yet: {hint}")


def test_a_typed_number_is_locked() -> None:
    guess = Prediction("How long?", unit="ms")
    press(guess, " 2.50 ")
    assert (guess.guess, guess.locked) == (2.5, "2.5 ms")


def test_other_messages_are_ignored() -> None:
    guess = Prediction(QUESTION, OPTIONS)
    guess._handle_custom_msg({"kind": "hello"}, [])
    assert (guess.guess, guess.hint) == (None, "")


def test_a_guess_is_final_but_its_cell_may_run_again() -> None:
    guess = Prediction(QUESTION, OPTIONS)
    guess.lock("twice")
    guess.lock("twice")
    with pytest.raises(SettingError, match=r"'twice' is locked already; run the cell that asks"):
        guess.lock("ten times")
    assert guess.guess == "twice"


def test_errors_say_what_can_be_guessed() -> None:
    with pytest.raises(UnknownNameError, match=r"no answer called 'twise'.*Did you mean 'twice'"):
        Prediction(QUESTION, OPTIONS).lock("twise")
    with pytest.raises(UnknownNameError, match="known ones are not at all, ten times, twice"):
        Prediction(QUESTION, OPTIONS).reveal("half")
    with pytest.raises(SettingError, match=r"'fast' is not a number; guess one"):
        Prediction(QUESTION).lock("fast")
    with pytest.raises(SettingError, match="pass two or more different ones"):
        Prediction(QUESTION, ["twice"])
    with pytest.raises(SettingError, match="pass two or more different ones"):
        Prediction(QUESTION, ["twice", "twice"])


def test_a_page_without_widgets_still_shows_the_question() -> None:
    bundle, _ = Prediction(QUESTION, OPTIONS)._repr_mimebundle_()
    assert bundle["text/plain"] == f"Predict: {QUESTION}"
    assert "application/vnd.jupyter.widget-view+json" in bundle
