"""The sensitivity explorer as a person uses it: clicks, keys, plans, undo, under Voilà and in JupyterLab."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from benchmarks import pages
from benchmarks.pages import wait_until_exact
from course_lib.architectures import load_card
from tests.browser.opening import open_dashboard

CARD = load_card("depthwise")
NAME = "sensitivity_explorer.ipynb"
SENSITIVITIES = ".se[data-sensitivities=true]"
ROOT = "document.querySelector('.se')"
WATCH = f"""() => {{
  window.shown = [];
  new MutationObserver(() => window.shown.push([Number({ROOT}.dataset.generation), {ROOT}.dataset.bits]))
    .observe({ROOT}, {{ attributes: true, attributeFilter: ['data-generation', 'data-bits'] }});
}}"""


@pytest.fixture(params=["voila", "jupyterlab"])
def page(request: pytest.FixtureRequest, context: BrowserContext) -> Page:
    return open_dashboard(NAME, request, context)


def shown(page: Page, field: str) -> str:
    return page.locator(f"[data-field={field}]").inner_text()


def bits(page: Page) -> list[str]:
    return page.locator(".se-cell[aria-checked=true]").all_inner_texts()


def cell(page: Page, layer: int, width: str) -> Locator:
    return page.get_by_role("radiogroup").nth(layer).get_by_text(width, exact=True)


def plan(page: Page, name: str) -> None:
    page.get_by_role("button", name=re.compile(f"^{name}( \\d bits)?$")).first.click()


def assert_everything_agrees(page: Page) -> None:
    """Compare tiles, chart, visited settings and the table of layers: they show the same bits and numbers."""
    wait_until_exact(page)
    fields = [shown(page, field) for field in ("accuracy", "latency", "size", "sqnr")]
    chart = page.locator("[data-chart=frontier]")
    assert page.locator(".ce-visited tr[aria-current] td").all_inner_texts() == fields
    assert chart.get_attribute("data-cells") == "|".join(fields)
    assert f"{float(chart.get_attribute('data-accuracy') or 'nan'):.2%}" == fields[0]
    label = page.locator(".ce-visited tr[aria-current] th").inner_text()
    assert chart.locator(".ce-current title").text_content() == f"{label}: {fields[0]}, {fields[2]}"
    assert page.locator(".ce-now").inner_text() == f"depthwise: {label}"
    checked = ["32" if width == "float" else width for width in bits(page)]
    assert page.locator(".se").get_attribute("data-bits") == " ".join(checked)


def test_it_opens_with_the_float_model_and_measures_the_layers(page: Page) -> None:
    assert shown(page, "accuracy") == f"{CARD.accuracy:.2%}"
    assert set(bits(page)) == {"float"}
    assert_everything_agrees(page)
    page.wait_for_selector(SENSITIVITIES, timeout=pages.WAIT_MS)
    expect(page.locator(".se-progress")).to_contain_text("each of 12 layers alone at 7 widths")
    assert "the answers move by" in (cell(page, 0, "2").get_attribute("aria-label") or "")


def test_a_click_changes_one_layer_and_undo_takes_it_back(page: Page) -> None:
    undo, redo = (page.get_by_role("button", name=name) for name in ("Undo", "Redo"))
    expect(undo).to_be_disabled()
    cell(page, 0, "2").click()
    assert_everything_agrees(page)
    assert bits(page) == ["2", *["float"] * 11]
    assert shown(page, "accuracy") != f"{CARD.accuracy:.2%}"
    cell(page, 3, "4").click()
    undo.click()
    assert_everything_agrees(page)
    assert bits(page) == ["2", *["float"] * 11]
    redo.click()
    assert_everything_agrees(page)
    assert bits(page)[3] == "4"
    page.get_by_role("button", name="Reset").press("Enter")
    assert_everything_agrees(page)
    assert shown(page, "accuracy") == f"{CARD.accuracy:.2%}"
    undo.click()
    assert_everything_agrees(page)
    assert bits(page)[:4] == ["2", "float", "float", "4"]


def test_keys_change_bits_and_layers(page: Page) -> None:
    cell(page, 0, "float").press("ArrowLeft")
    expect(cell(page, 0, "8")).to_be_focused()
    cell(page, 0, "8").press("ArrowDown")
    expect(cell(page, 1, "float")).to_be_focused()
    cell(page, 1, "float").press("5")
    cell(page, 1, "5").press("ArrowRight")
    cell(page, 1, "6").press("ArrowUp")
    cell(page, 0, "8").press("Home")
    expect(cell(page, 0, "2")).to_be_focused()
    assert_everything_agrees(page)
    assert bits(page)[:3] == ["2", "6", "float"]
    expect(cell(page, 0, "2")).to_be_focused()
    cell(page, 0, "2").press("f")
    assert_everything_agrees(page)
    assert bits(page)[:3] == ["float", "6", "float"]


def test_rapid_clicking_ends_at_the_last_setting_and_shows_nothing_stale(page: Page) -> None:
    page.evaluate(WATCH)
    for number in range(36):
        cell(page, number % 12, str(8 - number // 12)).click(no_wait_after=True)
    assert_everything_agrees(page)
    assert bits(page) == ["6"] * 12
    states = page.evaluate("window.shown")
    generations = [generation for generation, _ in states]
    assert all(later >= earlier for earlier, later in pairwise(generations))
    expected = page.locator(".se").get_attribute("data-sent")
    assert states[-1] == [int(expected or 0), " ".join(["6"] * 12)]


def test_plans_choose_bits_that_can_be_undone(page: Page) -> None:
    accuracy = {}
    page.get_by_label("Average bits").fill("3")
    for name in ("Uniform", "Integer programme", "α·log rule"):
        plan(page, name)
        assert_everything_agrees(page)
        accuracy[name] = float(shown(page, "accuracy").rstrip("%"))
    assert accuracy["Integer programme"] > accuracy["Uniform"] + 10
    assert "α·log rule with α = 0.72 for 3 bits" in page.locator(".ce-now").inner_text()
    page.get_by_role("button", name="Undo").click()
    assert_everything_agrees(page)
    assert page.locator(".ce-now").inner_text().startswith("depthwise: integer programme for 3 bits: ")


def test_an_average_nothing_can_meet_says_the_smallest_that_can(page: Page) -> None:
    plan(page, "Uniform")
    assert_everything_agrees(page)
    page.get_by_label("Average bits").fill("1.5")
    plan(page, "Integer programme")
    expect(page.get_by_role("alert")).to_contain_text("the smallest that can be kept is 2")
    assert bits(page) == ["4"] * 12
    plan(page, "Uniform")
    expect(page.get_by_role("alert")).to_contain_text("given 1 bits; expected 2 to 8")
    assert bits(page) == ["4"] * 12
    cell(page, 2, "8").click()
    assert_everything_agrees(page)
    expect(page.locator(".ce-error")).to_be_empty()
    page.get_by_role("button", name="Undo").click()
    assert_everything_agrees(page)
    assert bits(page) == ["4"] * 12


def test_visited_bits_can_be_gone_back_to_and_kept(page: Page, tmp_path: Path) -> None:
    plan(page, "Uniform")
    wait_until_exact(page)
    page.get_by_role("button", name="Reset").click()
    wait_until_exact(page)
    page.get_by_role("button", name="uniform 4 bits", exact=True).press("Enter")
    assert_everything_agrees(page)
    assert bits(page) == ["4"] * 12
    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV").click()
    download.value.save_as(tmp_path / "visited.csv")
    assert "depthwise," + " ".join(["4"] * 12) + "," in (tmp_path / "visited.csv").read_text()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy as code").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert "bits = engine.uniform(4)" in page.evaluate("() => navigator.clipboard.readText()")


def test_another_model_brings_its_own_layers(page: Page) -> None:
    cell(page, 0, "4").click()
    page.get_by_label("Model").select_option("tiny")
    page.wait_for_selector(f".se[data-model=tiny]{SENSITIVITIES.removeprefix('.se')}", timeout=pages.WAIT_MS)
    expect(page.get_by_role("radiogroup")).to_have_count(10)
    assert set(bits(page)) == {"float"}
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    assert shown(page, "accuracy") == f"{load_card('tiny').accuracy:.2%}"


def test_every_control_and_chart_has_a_name_for_screen_readers(page: Page) -> None:
    for name in ("Model", "Average bits", "α"):
        expect(page.get_by_label(name, exact=True)).to_have_count(1)
    expect(page.get_by_role("radiogroup", name="Bits of stem.0.0", exact=True)).to_have_count(1)
    assert page.get_by_role("radiogroup").first.get_by_role("radio").count() == 8
    for chart in page.locator(".se svg[role=img]").all():
        assert chart.get_attribute("aria-label")
    # One stop of the tab key a layer.
    assert page.locator(".se-cell[tabindex='0']").count() == 12
