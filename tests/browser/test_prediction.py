"""The view of a prediction in Chromium, with a stand-in for the kernel: keyboard, focus, and what is sent."""

from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page

import course_lib.widgets

VIEW = Path(course_lib.widgets.__file__).parent / "prediction.js"

STAND_IN = """
async ([source, state]) => {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  const view = (await import(url)).default;
  const listeners = {};
  window.sent = [];
  window.model = {
    get: (name) => state[name],
    on: (name, call) => (listeners[name] = call),
    off: (name) => delete listeners[name],
    send: (message) => window.sent.push(message),
  };
  window.change = (name, value) => {
    state[name] = value;
    listeners[`change:${name}`]();
  };
  window.dispose = view.render({ model: window.model, el: document.body });
  window.listening = () => Object.keys(listeners).length;
}
"""


def open_view(context: BrowserContext, options: list[str], unit: str = "") -> Page:
    page = context.new_page()
    state = {"question": "Is 1 < 2?", "options": options, "unit": unit, "locked": "", "hint": ""}
    page.evaluate(STAND_IN, [VIEW.read_text(encoding="utf-8"), state])
    return page


@pytest.fixture
def choice(context: BrowserContext) -> Page:
    return open_view(context, ["yes", "no", "perhaps"])


def test_a_choice_is_made_and_sent_with_the_keyboard(choice: Page) -> None:
    for key in ("Tab", "Space", "ArrowDown", "ArrowDown", "Tab", "Enter"):
        choice.keyboard.press(key)
    assert choice.evaluate("sent") == [{"kind": "lock", "guess": "perhaps"}]


def test_a_number_is_typed_and_sent_with_enter(context: BrowserContext) -> None:
    page = open_view(context, [], "ms")
    page.keyboard.press("Tab")
    page.keyboard.type("2.5")
    page.keyboard.press("Enter")
    assert page.evaluate("sent") == [{"kind": "lock", "guess": "2.5"}]
    assert page.get_by_label("Your guess").input_value() == "2.5"


def test_nothing_chosen_is_sent_as_nothing_and_the_hint_is_said(choice: Page) -> None:
    choice.get_by_role("button", name="Lock my guess").click()
    assert choice.evaluate("sent") == [{"kind": "lock", "guess": ""}]
    choice.evaluate("change('hint', 'choose one')")
    assert choice.get_by_role("status").inner_text() == "choose one"


def test_a_locked_guess_closes_the_controls_and_keeps_the_focus(choice: Page) -> None:
    choice.get_by_role("button", name="Lock my guess").focus()
    choice.evaluate("change('locked', 'no')")
    assert choice.get_by_role("status").inner_text() == "Locked: no"
    assert choice.get_by_label("no", exact=True).is_checked()
    assert choice.get_by_label("yes").is_disabled()
    assert choice.evaluate("document.activeElement.getAttribute('role')") == "status"


def test_screen_readers_hear_the_question_with_its_answers(choice: Page) -> None:
    group = choice.get_by_role("group", name="Predict: Is 1 < 2?")
    assert group.get_by_role("radio").count() == 3


def test_jupyterlab_leaves_the_keys_to_every_control(choice: Page) -> None:
    controls = choice.locator("input, button")
    assert controls.count() == choice.locator("[data-lm-suppress-shortcuts]").count() == 4


def test_a_removed_view_stops_listening(choice: Page) -> None:
    choice.evaluate("dispose()")
    assert choice.evaluate("listening()") == 0
