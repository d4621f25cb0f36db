"""The calibration explorer as a person uses it: sliders, lists, table, mouse and keyboard, under Voilà."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from benchmarks import pages
from benchmarks.pages import ROOT, Server

NOTEBOOK = ROOT / "notebooks" / "dashboards" / "calibration_explorer.ipynb"
READY = ".ca[data-generation]"
SETTLED = """() => {
  const { exact, generation, sent } = document.querySelector('.ca').dataset;
  return exact === 'true' && generation === (sent ?? generation);
}"""
WATCH = """() => {
  const root = document.querySelector('.ca');
  window.shown = [];
  new MutationObserver(() => {
    const bits = root.querySelector('.ce-now').textContent.match(/(\\d+) bits/)[1];
    window.shown.push([Number(root.dataset.generation), bits]);
  }).observe(root, { attributes: true, attributeFilter: ['data-generation'] });
}"""
FIELDS = ("range", "clipping", "rounding", "sqnr", "accuracy")


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The dashboard, alone: kernels of other ones would share the cores."""
    folder = tmp_path_factory.mktemp("calibration")
    shutil.copy(NOTEBOOK, folder)
    port = pages.free_port()
    options = ["--Voila.config_file_paths=notebooks/dashboards", "--no-browser", f"--port={port}"]
    command = [sys.executable, "-m", "voila", *options, str(folder)]
    with pages.served(command, f"http://127.0.0.1:{port}/") as server:
        server.wait_until_warm()
        yield server


@pytest.fixture
def page(dashboard: Server, context: BrowserContext) -> Page:
    opened = context.new_page()
    opened.goto(f"{dashboard.url}voila/render/{Path(NOTEBOOK).name}")
    opened.wait_for_selector(READY, timeout=pages.WAIT_MS)
    settle(opened)
    return opened


def settle(page: Page) -> None:
    """Return once the page shows all there is to know of the controls' position."""
    page.wait_for_function(SETTLED, timeout=pages.WAIT_MS)


def shown(page: Page, field: str) -> str:
    return page.locator(f"[data-field={field}]").inner_text()


def label(page: Page) -> str:
    return page.locator(".ce-now").inner_text()


def chart(page: Page, name: str) -> str:
    return page.locator(f"[data-chart={name}]").get_attribute("aria-label") or ""


def assert_everything_agrees(page: Page) -> None:
    """Compare tiles, row of the table, the three charts, and the controls."""
    settle(page)
    row = page.locator("tr[aria-current]")
    expect(row).to_have_count(1)
    assert row.locator("td").all_inner_texts() == [shown(page, field) for field in FIELDS]
    name = row.locator("th").inner_text()
    bars = page.locator("[data-chart=observers]")
    assert bars.locator("rect.ca-here title").text_content() == f"{name}: {shown(page, 'sqnr')}"
    assert f"{name} {shown(page, 'sqnr')}" in chart(page, "observers")
    assert f"what the range {shown(page, 'range')} clips" in chart(page, "activation")
    images = page.locator("[data-chart=ranges] .ca-current title").first.text_content() or ""
    assert images.endswith(f" images: {shown(page, 'range')}")
    bits = page.get_by_label("Activation bits").get_attribute("aria-valuetext")
    assert f": {name}, {bits} " in label(page)
    assert f"calibrated on {images.split(' ')[0]} images" in label(page)


def test_it_opens_with_the_exact_accuracy(page: Page) -> None:
    assert label(page).startswith("depthwise, activation stem_1: MSE, 8 bits asymmetric")
    assert "exact, all 10,000 images" in page.locator(".ce-tiles").inner_text()
    assert_everything_agrees(page)


def test_keys_move_bits_and_images_and_everything_agrees(page: Page) -> None:
    before = [shown(page, field) for field in ("sqnr", "accuracy")]
    bits = page.get_by_label("Activation bits")
    bits.press("ArrowLeft")
    bits.press("ArrowLeft")
    bits.press("ArrowLeft")
    assert_everything_agrees(page)
    assert "5 bits" in label(page)
    assert [shown(page, field) for field in ("sqnr", "accuracy")] != before
    page.get_by_label("Images", exact=True).press("Home")
    assert_everything_agrees(page)
    assert label(page).endswith("calibrated on 8 images")
    page.get_by_role("button", name="Reset").press("Enter")
    assert_everything_agrees(page)
    assert [shown(page, field) for field in ("sqnr", "accuracy")] == before


def test_a_rapid_drag_shows_nothing_stale_and_ends_at_the_last_setting(page: Page) -> None:
    page.evaluate(WATCH)
    box = page.get_by_label("Activation bits").bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.85, y)
    page.mouse.down()
    for step in range(60):
        share = abs(((step / 20) % 2) - 1)
        page.mouse.move(box["x"] + 8 + share * (box["width"] - 16), y)
    page.mouse.move(box["x"] + 8 + 2 / 7 * (box["width"] - 16), y)
    page.mouse.up()
    assert_everything_agrees(page)
    assert "4 bits" in label(page)
    states = page.evaluate("() => window.shown")
    generations = [state[0] for state in states]
    assert generations == sorted(generations)
    assert len({tuple(state) for state in states}) == len(set(generations))


def test_an_observer_is_chosen_from_the_list_the_table_and_the_chart(page: Page) -> None:
    page.get_by_label("Observer").select_option("entropy")
    assert_everything_agrees(page)
    assert "KL entropy" in label(page)
    pick = page.get_by_role("button", name="percentile 99.99")
    pick.press("Enter")
    assert_everything_agrees(page)
    expect(pick).to_be_focused()
    assert page.get_by_label("Observer").input_value() == "percentile"
    page.locator("[data-chart=observers] rect").first.click()
    assert_everything_agrees(page)
    assert page.get_by_label("Observer").input_value() == "minmax"
    accuracies = page.locator(".ca-table tbody td:last-child").all_inner_texts()
    assert sum(words.endswith("%") for words in accuracies) == 4  # the first observer's included


def test_another_activation_and_another_network(page: Page) -> None:
    accuracy = shown(page, "accuracy")
    page.get_by_label("Activation", exact=True).select_option("pool")
    assert_everything_agrees(page)
    assert "activation pool:" in label(page)
    assert shown(page, "accuracy") == accuracy
    page.get_by_label("Symmetric").check()
    assert_everything_agrees(page)
    assert "8 bits symmetric" in label(page)
    page.get_by_label("Model").select_option("tiny")
    page.wait_for_selector(".ca[data-model=tiny]", timeout=pages.WAIT_MS)
    assert_everything_agrees(page)
    assert label(page).startswith("tiny, activation stem_1")


def test_the_setting_can_be_copied_as_code(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy as code").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert "CalibrationEngine('depthwise'" in page.evaluate("() => navigator.clipboard.readText()")


def test_every_control_and_chart_has_a_name_for_screen_readers(page: Page) -> None:
    for name in ("Model", "Activation", "Observer", "Symmetric", "Activation bits", "Images"):
        expect(page.get_by_label(name, exact=True)).to_have_count(1)
    for name in ("activation", "observers", "ranges"):
        assert chart(page, name)
    assert page.get_by_label("Images", exact=True).get_attribute("aria-valuetext") == "256 calibration images"


def test_the_page_shows_neither_code_nor_tracebacks(page: Page) -> None:
    assert page.locator(".jp-InputArea-editor").count() == 0
    assert "Traceback" not in page.inner_text("body")
