"""The block explorer as a person uses it: blocks, sliders, keys, under Voilà and in JupyterLab."""

import re
from itertools import pairwise

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from benchmarks import pages
from benchmarks.pages import wait_until_exact
from course_lib.architectures.blocks.catalogue import BLOCKS, BlockShape
from course_lib.explore.block_choice import STOPS
from course_lib.widgets.block_view import KNOBS
from tests.browser.opening import open_dashboard

NAME = "block_explorer.ipynb"
ROOT = "document.querySelector('.be')"
WATCH = f"""() => {{
  window.shown = [];
  const state = {ROOT}.dataset;
  new MutationObserver(() => window.shown.push([Number(state.generation), state.exact]))
    .observe({ROOT}, {{ attributes: true, attributeFilter: ['data-generation'] }});
}}"""


@pytest.fixture(params=["voila", "jupyterlab"])
def page(request: pytest.FixtureRequest, context: BrowserContext) -> Page:
    return open_dashboard(NAME, request, context)


def tile(page: Page, field: str) -> str:
    return page.locator(f"[data-field={field}]").inner_text()


def slider(page: Page, knob: str) -> Locator:
    return page.get_by_role("slider", name=KNOBS[knob], exact=True)


def set_knob(page: Page, knob: str, value: int) -> None:
    slider(page, knob).fill(str(STOPS[knob].index(value)))


def choose(page: Page, block: str) -> None:
    page.get_by_label("Block", exact=True).select_option(block)


def assert_everything_agrees(page: Page, block: str, shape: BlockShape) -> None:
    """Compare formula, tiles, bars, picture and sentence with each other, and the MACs with the library's."""
    wait_until_exact(page)
    macs = BLOCKS[block].macs(shape)
    numbers = page.locator(".be-numbers").inner_text()
    assert re.sub(r"\s", "", numbers).endswith(f"={macs:,}")
    for name, field in (("MACs", "macs"), ("Latency", "latency")):
        words = page.locator(f"[data-bar={name}]").text_content() or ""
        value, ratio = words.split(", ")
        assert value == tile(page, field)
        detail = page.locator(f".ce-tile:has([data-field={field}]) small").inner_text()
        assert detail.startswith(f"{ratio} the standard convolution's ")
        assert ratio in page.locator(".be-explanation").inner_text()
    picture = page.locator("[data-chart=layers]")
    layers = picture.locator(".be-layer")
    assert layers.first.locator(".be-count").text_content() == str(shape.in_channels)
    assert layers.last.locator(".be-count").text_content() == str(shape.out_channels)
    expect(picture.locator(".be-time").first).to_contain_text("µs")


def test_it_opens_with_a_separable_block_and_its_latency(page: Page) -> None:
    assert_everything_agrees(page, "separable", BlockShape(48, 96, resolution=28))
    for knob in ("expansion", "groups"):
        expect(slider(page, knob)).to_be_disabled()
    for knob in ("in_channels", "out_channels", "resolution", "kernel", "stride"):
        expect(slider(page, knob)).to_be_enabled(timeout=pages.WAIT_MS)
    expect(page.get_by_label("Block", exact=True).locator("option")).to_have_count(len(BLOCKS))


def test_every_knob_changes_what_is_shown(page: Page) -> None:
    choose(page, "mbconv")
    values = {
        **{"in_channels": 24, "out_channels": 24, "resolution": 14},
        **{"kernel": 5, "stride": 2, "expansion": 3},
    }
    for knob, value in values.items():
        set_knob(page, knob, value)
    shape = BlockShape(24, 24, 14, kernel=5, stride=2, expansion=3)
    assert_everything_agrees(page, "mbconv", shape)
    expect(page.locator(".be-layer.be-depthwise")).to_contain_text("5×5")
    expect(page.locator(".be-layer.be-depthwise")).to_contain_text("stride 2")


def test_every_block_can_be_chosen(page: Page) -> None:
    set_knob(page, "out_channels", 48)
    wait_until_exact(page)
    for block in BLOCKS:
        choose(page, block)
        wait_until_exact(page)
        expect(page.locator(".ce-error")).to_be_empty()
        expect(page.locator(".be-explanation")).not_to_be_empty()
        for knob in KNOBS:
            enabled = slider(page, knob).is_enabled()
            assert enabled == (knob in BLOCKS[block].knobs), (block, knob)


def test_the_standard_convolution_is_compared_with_itself_and_with_groups(page: Page) -> None:
    choose(page, "standard")
    wait_until_exact(page)
    expect(page.locator(".be-explanation")).to_have_text(
        "This is the standard convolution, compared with itself."
    )
    set_knob(page, "groups", 4)
    assert_everything_agrees(page, "standard", BlockShape(48, 96, resolution=28, groups=4))
    assert (page.locator("[data-bar=MACs]").text_content() or "").endswith(", 0.25×")


def test_what_a_block_cannot_be_is_explained_and_can_be_put_right(page: Page) -> None:
    choose(page, "shuffle_v1")
    error = page.locator(".ce-error")
    expect(error).to_contain_text("A ShuffleNet V1 block got 48 → 96 channels at stride 1; expected equal")
    expect(page.locator(".be")).to_have_class(re.compile("ce-old"))
    page.get_by_role("button", name="Use stride 2").click()
    expect(error).to_be_empty()
    assert_everything_agrees(page, "shuffle_v1", BlockShape(48, 96, resolution=28, stride=2))
    expect(page.locator(".be-fix")).to_be_hidden()
    expect(page.locator(".be")).not_to_have_class(re.compile("ce-old"))


def test_keys_move_a_slider_stop_by_stop_and_reset_goes_back(page: Page) -> None:
    outputs = slider(page, "out_channels")
    outputs.press("ArrowLeft")
    assert_everything_agrees(page, "separable", BlockShape(48, 80, resolution=28))
    outputs.press("Home")
    assert_everything_agrees(page, "separable", BlockShape(48, 8, resolution=28))
    expect(outputs).to_have_attribute("aria-valuetext", "8")
    page.get_by_role("button", name="Reset").click()
    assert_everything_agrees(page, "separable", BlockShape(48, 96, resolution=28))
    assert outputs.input_value() == str(STOPS["out_channels"].index(96))


def test_a_fast_drag_ends_at_the_last_setting_and_shows_nothing_stale(page: Page) -> None:
    page.evaluate(WATCH)
    slider(page, "in_channels").evaluate(
        """async (slider) => {
          for (let round = 0; round < 4; round += 1) {
            for (let value = 0; value <= Number(slider.max); value += 1) {
              slider.value = value;
              slider.dispatchEvent(new Event('input'));
              await new Promise((done) => setTimeout(done, 15));
            }
          }
        }"""
    )
    assert_everything_agrees(page, "separable", BlockShape(128, 96, resolution=28))
    states = page.evaluate("window.shown")
    assert all(later[0] >= earlier[0] for earlier, later in pairwise(states))
    assert states[-1] == [int(page.locator(".be").get_attribute("data-sent") or 0), "true"]


def test_everything_has_a_name_and_the_code_can_be_copied(page: Page) -> None:
    for name in ("Block", *KNOBS.values()):
        expect(page.get_by_label(name, exact=True)).to_have_count(1)
    expect(page.get_by_role("img", name="Layers of Depthwise-separable convolution: in ")).to_have_count(1)
    expect(page.get_by_role("img", name="MACs of the Depthwise-separable convolution: ")).to_have_count(1)
    expect(page.get_by_role("group", name="Formula of the MACs").locator("math").first).to_be_visible()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy as code").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert "BlockEngine().measured(BlockSetting(" in page.evaluate("() => navigator.clipboard.readText()")
