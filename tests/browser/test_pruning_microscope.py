"""The pruning microscope as a person uses it: clicks, keys, slider, undo, under Voilà and in JupyterLab."""

from itertools import pairwise

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from benchmarks import pages
from benchmarks.pages import wait_until_exact
from course_lib.architectures import load_card
from tests.browser.opening import open_dashboard

CARD = load_card("depthwise")
NAME = "pruning_microscope.ipynb"
TIED = "blocks.2.pointwise.0"
"""The depthwise network's group of 96 channels: two layers that are added make them."""

ROOT = "document.querySelector('.pm')"
WATCH = f"""() => {{
  window.shown = [];
  new MutationObserver(() => window.shown.push([Number({ROOT}.dataset.generation), {ROOT}.dataset.removed]))
    .observe({ROOT}, {{ attributes: true, attributeFilter: ['data-generation', 'data-removed'] }});
}}"""


@pytest.fixture(params=["voila", "jupyterlab"])
def page(request: pytest.FixtureRequest, context: BrowserContext) -> Page:
    return open_dashboard(NAME, request, context)


def tile(page: Page, field: str) -> str:
    return page.locator(f"[data-field={field}]").inner_text()


def layer(page: Page, path: str) -> Locator:
    return page.get_by_role("option", name=f"{path}, ")


def bar(page: Page, channel: int) -> Locator:
    return page.locator(f".pm-chart [data-channel='{channel}']")


def slider(page: Page) -> Locator:
    return page.get_by_label("Remove the least important")


def removed_bars(page: Page) -> list[int]:
    marked = page.locator(".pm-chart .pm-removed").all()
    return sorted(int(each.get_attribute("data-channel") or -1) for each in marked)


def assert_everything_agrees(page: Page, group: str) -> list[int]:
    """Compare result, chart, slider, layers and heading; return the removed channels of the chosen group."""
    wait_until_exact(page)
    result = dict(
        part.split(":")
        for part in (page.locator(".pm").get_attribute("data-removed") or "").split("|")
        if part
    )
    channels = [int(channel) for channel in result.get(group, "").split()]
    assert removed_bars(page) == channels
    bars = page.locator(".pm-chart .pm-channel").count()
    assert page.locator(".pm-channels output").inner_text() == f"{len(channels)} of {bars}"
    assert slider(page).input_value() == str(len(channels))
    assert f": {len(channels)} of {bars} removed" in (
        page.locator(".pm-chart").get_attribute("aria-label") or ""
    )
    for row in page.locator(".pm-layer.pm-loses").all():
        words = f"{bars - len(channels)} of {bars}" if channels else str(bars)
        assert row.locator(".pm-count").inner_text() == words
    heading = page.locator(".ce-now").inner_text()
    assert str(sum(len(each.split()) for each in result.values())) in heading or not result
    return channels


def test_it_opens_with_the_whole_network(page: Page) -> None:
    assert tile(page, "accuracy") == f"{CARD.accuracy:.2%}"
    expect(page.locator(".pm-layer")).to_have_count(12)
    expect(page.locator(".ce-now")).to_have_text("depthwise: all channels")
    assert assert_everything_agrees(page, "stem.0.0") == []
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()


def test_a_layer_shows_what_depends_on_it(page: Page) -> None:
    layer(page, "blocks.3.pointwise.0").click()
    losing = page.locator(".pm-layer.pm-loses .pm-name").all_inner_texts()
    assert losing == [TIED, "blocks.3.depthwise.0", "blocks.3.pointwise.0", "blocks.4.depthwise.0"]
    assert page.locator(".pm-layer.pm-reads .pm-name").all_inner_texts() == ["blocks.4.pointwise.0"]
    expect(page.locator(".pm-why")).to_contain_text("must lose the same channels, because the step add")
    layer(page, "classifier").click()
    expect(page.locator(".pm-why")).to_contain_text("'classifier' cannot be removed")
    expect(slider(page)).to_be_hidden()


def test_the_slider_and_clicks_remove_channels_and_undo_takes_them_back(page: Page) -> None:
    undo, redo = (page.get_by_role("button", name=name) for name in ("Undo", "Redo"))
    layer(page, TIED).click()
    slider(page).fill("48")
    assert len(assert_everything_agrees(page, TIED)) == 48
    assert tile(page, "macs") == "907.6 k"
    expect(layer(page, "blocks.4.pointwise.0")).to_contain_text("48 of 96 inputs")
    first = removed_bars(page)[0]
    bar(page, first).click()
    assert first not in assert_everything_agrees(page, TIED)
    undo.click()
    assert len(assert_everything_agrees(page, TIED)) == 48
    redo.click()
    assert len(assert_everything_agrees(page, TIED)) == 47
    page.get_by_role("button", name="Reset").click()
    assert assert_everything_agrees(page, TIED) == []
    assert tile(page, "accuracy") == f"{CARD.accuracy:.2%}"
    page.locator(".pm-chart").press("Control+z")
    assert len(assert_everything_agrees(page, TIED)) == 47


def test_keys_choose_layers_and_channels(page: Page) -> None:
    layers = page.get_by_role("listbox", name="Layers of the network")
    layers.press("Home")
    layers.press("ArrowDown")
    layers.press("ArrowDown")
    expect(layer(page, "blocks.0.pointwise.0")).to_have_attribute("aria-selected", "true")
    layers.press("ArrowRight")
    chart = page.locator(".pm-chart")
    expect(chart).to_be_focused()
    chart.press("End")
    chart.press("Space")
    (channel,) = assert_everything_agrees(page, "blocks.0.pointwise.0")
    expect(page.locator(".pm-about")).to_contain_text(f"Channel {channel}: ")
    expect(page.locator(".pm-about")).to_contain_text("number 32 of 32 from the least important; removed.")
    chart.press("Space")
    assert assert_everything_agrees(page, "blocks.0.pointwise.0") == []
    expect(page.locator(".pm-about")).to_contain_text("stays.")
    chart.press("Escape")
    expect(layers).to_be_focused()


def test_a_fast_drag_ends_at_the_last_setting_and_shows_nothing_stale(page: Page) -> None:
    layer(page, TIED).click()
    page.evaluate(WATCH)
    slider(page).evaluate(
        """async (slider) => {
          for (let value = 1; value <= 60; value += 1) {
            slider.value = value;
            slider.dispatchEvent(new Event('input'));
            await new Promise((done) => setTimeout(done, 15));
          }
          slider.dispatchEvent(new Event('change'));
        }"""
    )
    channels = assert_everything_agrees(page, TIED)
    assert len(channels) == 60
    states = page.evaluate("window.shown")
    assert all(later[0] >= earlier[0] for earlier, later in pairwise(states))
    sent = int(page.locator(".pm").get_attribute("data-sent") or 0)
    assert states[-1] == [sent, f"{TIED}:{' '.join(map(str, channels))}"]
    page.get_by_role("button", name="Undo").click()  # the whole drag is one step
    assert assert_everything_agrees(page, TIED) == []


def test_one_channel_has_to_stay(page: Page) -> None:
    slider(page).fill("15")
    (left,) = set(range(16)) - set(assert_everything_agrees(page, "stem.0.0"))
    bar(page, left).click()
    expect(page.locator(".pm-about")).to_contain_text("One channel has to stay")
    assert len(assert_everything_agrees(page, "stem.0.0")) == 15


def test_another_ranking_keeps_what_is_removed(page: Page) -> None:
    slider(page).fill("4")
    before = assert_everything_agrees(page, "stem.0.0")
    page.get_by_label("Rank channels by").select_option("random")
    expect(page.locator(".pm-chart")).to_have_attribute(
        "aria-label", "Channels of stem.0.0: 4 of 16 removed; height: Random (the control)"
    )
    assert assert_everything_agrees(page, "stem.0.0") == before
    slider(page).fill("5")
    assert assert_everything_agrees(page, "stem.0.0") != before


def test_another_model_brings_its_own_layers(page: Page) -> None:
    slider(page).fill("3")
    assert_everything_agrees(page, "stem.0.0")
    page.get_by_label("Model").select_option("tiny")
    page.wait_for_selector(".pm[data-model=tiny]", timeout=pages.WAIT_MS)
    assert assert_everything_agrees(page, "stem.0.0") == []
    expect(page.locator(".pm-layer")).to_have_count(10)
    expect(page.get_by_role("button", name="Undo")).to_be_disabled()
    assert tile(page, "accuracy") == f"{load_card('tiny').accuracy:.2%}"


def test_every_control_and_chart_has_a_name_for_screen_readers(page: Page) -> None:
    for name in ("Model", "Rank channels by", "Remove the least important", "Sorted by importance"):
        expect(page.get_by_label(name, exact=True)).to_have_count(1)
    expect(page.get_by_role("option", name="stem.0.0, conv 3×3, 16 channels, this layer")).to_have_count(1)
    assert "score" in (bar(page, 0).get_attribute("aria-label") or "")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    slider(page).fill("2")
    assert_everything_agrees(page, "stem.0.0")
    page.get_by_role("button", name="Copy as code").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert "choice = engine.choice(" in page.evaluate("() => navigator.clipboard.readText()")
