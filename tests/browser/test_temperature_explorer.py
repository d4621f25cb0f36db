"""The temperature explorer as a person uses it: slider, pictures, keys, under Voilà and in JupyterLab."""

import re
from itertools import pairwise

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from benchmarks import pages
from benchmarks.pages import wait_until_exact
from course_lib.architectures import load_card
from course_lib.explore.temperature import TEMPERATURES
from tests.browser.opening import open_dashboard

NAME = "temperature_explorer.ipynb"
ROOT = "document.querySelector('.te')"
WATCH = f"""() => {{
  window.shown = [];
  const state = {ROOT}.dataset;
  new MutationObserver(() => window.shown.push([Number(state.generation), state.temperature]))
    .observe({ROOT}, {{ attributes: true, attributeFilter: ['data-generation'] }});
}}"""


@pytest.fixture(params=["voila", "jupyterlab"])
def page(request: pytest.FixtureRequest, context: BrowserContext) -> Page:
    return open_dashboard(NAME, request, context)


def tile(page: Page, field: str) -> str:
    return page.locator(f"[data-field={field}]").inner_text()


def slider(page: Page) -> Locator:
    return page.get_by_role("slider", name="Temperature T")


def set_temperature(page: Page, temperature: float) -> None:
    slider(page).fill(str(TEMPERATURES.index(temperature)))
    wait_until_exact(page)


def shown_image(page: Page) -> str:
    wait_until_exact(page)
    return page.locator(".te").get_attribute("data-image") or ""


def shares(page: Page, role: str) -> list[str]:
    return page.locator(f".te-table td.te-{role} .te-share").all_inner_texts()


def assert_everything_agrees(page: Page, temperature: float) -> None:
    """Compare the slider, the sentence, the table, the tiles and the chart with each other."""
    wait_until_exact(page)
    assert float(page.locator(".te output").inner_text()) == temperature
    assert float(page.locator(".te").get_attribute("data-temperature") or 0) == temperature
    sentence = page.locator(".te-explanation").inner_text()
    said = re.match(r"At T = ([\d.]+) the teacher puts (.+?%) on ", sentence)
    assert said, sentence
    assert float(said[1]) == temperature
    assert said[2] in shares(page, "teacher")
    for role in ("teacher", "student"):
        assert len(shares(page, role)) == 10
    bits = tile(page, "entropy")
    chart = page.locator("[data-chart=entropy]")
    assert f"At T = {temperature:g}: teacher {bits.removesuffix(' bits')}," in (
        (chart.get_attribute("aria-label") or "").replace("Mean entropy at", "At")
    )
    expect(chart.locator(".te-legend.te-teacher")).to_have_text(f"teacher: {bits}")
    true = page.locator(".te-true th").inner_text().removeprefix("✓ ")
    assert page.locator(".te-image figcaption").inner_text().endswith(f": {true}")
    selected = page.locator(".te-thumb[aria-selected=true]")
    if selected.count():
        assert selected.get_attribute("data-image") == shown_image(page)


def test_it_opens_with_teacher_and_student_at_four(page: Page) -> None:
    assert_everything_agrees(page, 4)
    for role, name in (("teacher", "residual"), ("student", "tiny")):
        head = page.locator(f".te-table th.te-{role}")
        expect(head.locator("b")).to_have_text(name)
        expect(head).to_contain_text(f"{load_card(name).accuracy:.2%} right")
    expect(page.locator(".te-thumb")).to_have_count(22)
    expect(page.locator(".te-warning")).to_be_empty()


def test_the_temperature_softens_the_answers_and_extremes_are_warned_of(page: Page) -> None:
    agree = tile(page, "agree")
    set_temperature(page, 1)
    assert_everything_agrees(page, 1)
    expect(page.locator(".te-explanation")).to_contain_text("the student learns little more than the label")
    expect(page.locator(".te-warning")).to_contain_text("T is low for this teacher")
    cool = float(tile(page, "entropy").split()[0])
    set_temperature(page, 20)
    assert_everything_agrees(page, 20)
    expect(page.locator(".te-warning")).to_contain_text("T is high for this teacher")
    assert float(tile(page, "entropy").split()[0]) > cool
    assert tile(page, "agree") == agree
    set_temperature(page, 0.5)
    expect(page.locator(".te-warning")).to_contain_text("T below 1 sharpens")


def test_pictures_are_picked_by_click_keys_and_buttons(page: Page) -> None:
    thumbs = page.locator(".te-thumb")
    images = [thumb.get_attribute("data-image") for thumb in thumbs.all()]
    thumbs.nth(12).click()
    assert shown_image(page) == images[12]
    assert_everything_agrees(page, 4)
    row = page.get_by_role("listbox", name="Pictures")
    row.press("ArrowRight")
    assert shown_image(page) == images[13]
    row.press("ArrowLeft")
    row.press("ArrowLeft")
    assert shown_image(page) == images[11]
    row.press("End")
    assert shown_image(page) == images[-1]
    expect(page.locator(".te-explanation")).to_contain_text("but the label says")
    page.get_by_role("button", name="Next").click()
    assert shown_image(page) == images[0]
    page.get_by_role("button", name="Previous").click()
    assert shown_image(page) == images[-1]
    assert_everything_agrees(page, 4)


def test_a_surprise_is_another_picture_and_reset_goes_back(page: Page) -> None:
    first = shown_image(page)
    surprise = page.get_by_role("button", name="Surprise me")
    seen = {first}
    for _ in range(3):
        surprise.click()
        seen.add(shown_image(page))
        assert_everything_agrees(page, 4)
    assert len(seen) == 4
    set_temperature(page, 2)
    page.get_by_role("button", name="Reset").click()
    assert shown_image(page) == first
    assert_everything_agrees(page, 4)


def test_keys_move_the_slider_stop_by_stop(page: Page) -> None:
    start = TEMPERATURES.index(4)
    slider(page).press("ArrowRight")
    assert_everything_agrees(page, TEMPERATURES[start + 1])
    slider(page).press("Home")
    assert_everything_agrees(page, 0.5)
    expect(slider(page)).to_have_attribute("aria-valuetext", "T = 0.5")


def test_a_fast_drag_ends_at_the_last_setting_and_shows_nothing_stale(page: Page) -> None:
    page.evaluate(WATCH)
    slider(page).evaluate(
        """async (slider) => {
          for (let value = 0; value <= 64; value += 1) {
            slider.value = value;
            slider.dispatchEvent(new Event('input'));
            await new Promise((done) => setTimeout(done, 15));
          }
        }"""
    )
    assert_everything_agrees(page, 20)
    states = page.evaluate("window.shown")
    assert all(later[0] >= earlier[0] for earlier, later in pairwise(states))
    assert states[-1] == [int(page.locator(".te").get_attribute("data-sent") or 0), "20"]


def test_another_teacher_brings_its_own_pictures(page: Page) -> None:
    before = [thumb.get_attribute("data-image") for thumb in page.locator(".te-thumb").all()]
    page.get_by_label("Teacher", exact=True).select_option("tiny")
    expect(page.locator(".te-table th.te-teacher b")).to_have_text("tiny", timeout=pages.WAIT_MS)
    assert_everything_agrees(page, 4)
    assert tile(page, "loss") == "0 nats"
    assert tile(page, "agree") == "100.00%"
    assert shares(page, "teacher") == shares(page, "student")
    assert [thumb.get_attribute("data-image") for thumb in page.locator(".te-thumb").all()] != before


def test_everything_has_a_name_and_the_code_can_be_copied(page: Page) -> None:
    for name in ("Teacher", "Student", "Temperature T"):
        expect(page.get_by_label(name, exact=True)).to_have_count(1)
    expect(page.get_by_role("option", name="Sneaker: the teacher is sure and right")).to_have_count(1)
    expect(page.get_by_role("table", name="Soft targets of teacher and student")).to_have_count(1)
    expect(page.get_by_role("rowheader", name="the true class")).to_have_count(1)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy as code").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert "study_temperature(teacher, student, setting)" in page.evaluate(
        "() => navigator.clipboard.readText()"
    )
