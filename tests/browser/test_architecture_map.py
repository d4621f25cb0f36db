"""The architecture map as a person uses it: lines and points, mouse and keys, in Voilà and JupyterLab."""

import re

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from benchmarks import pages
from benchmarks.pages import wait_until_exact
from course_lib.architectures import list_zoo, load_card
from course_lib.edge.architecture_map import AXES
from tests.browser.opening import open_dashboard

NAME = "architecture_map.ipynb"


@pytest.fixture(params=["voila", "jupyterlab"])
def page(request: pytest.FixtureRequest, context: BrowserContext) -> Page:
    return open_dashboard(NAME, request, context)


def line(page: Page, kind: str) -> Locator:
    return page.locator(f"[data-line={kind}]")


def points(page: Page, kind: str) -> set[str]:
    """Return the names of the networks that the chart draws in this way."""
    found = page.locator(f".am-point.am-{kind}")
    return {point.get_attribute("data-network") or "" for point in found.all()}


def listed(page: Page, kind: str) -> set[str]:
    found = page.locator(f".am-list .{kind}")
    return {row.get_attribute("data-network") or "" for row in found.all()}


def drag(page: Page, kind: str, right: float, down: float) -> None:
    """Drag a line by this many pixels."""
    grip = line(page, kind).locator(".am-grip").bounding_box()
    assert grip is not None
    x, y = grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + right / 2, y + down / 2, steps=4)
    page.mouse.move(x + right, y + down, steps=4)
    page.mouse.up()
    wait_until_exact(page)


def assert_everything_agrees(page: Page) -> None:
    """Compare the greyed points, the shortlist, the sentence and the ranks with each other."""
    wait_until_exact(page)
    fits, refused = points(page, "fits"), points(page, "refused")
    assert fits | refused == set(list_zoo())
    assert (fits, refused) == (listed(page, "am-accepted"), listed(page, "am-out"))
    for row in page.locator(".am-list li").all():
        name, place = row.get_attribute("data-network"), row.locator(".am-place").inner_text()
        rank = page.locator(f".am-point[data-network={name}] .am-rank").text_content() or "–"
        assert rank == place
        words = page.locator(f".am-point[data-network={name}]").get_attribute("aria-label") or ""
        assert words.endswith(row.locator(".am-reason").inner_text())
    sentence = page.locator(".am-summary").inner_text()
    if fits:
        assert sentence.startswith(f"{len(fits)} of {len(fits | refused)} networks ")
    else:
        assert sentence.startswith("No network fits")
    for kind in ("cost", "accuracy"):
        said = line(page, kind).get_attribute("aria-valuetext") or ""
        assert page.locator(f"[data-words={kind}]").text_content() == said
        if said.startswith("at "):
            expect(page.locator(".am-limits")).to_contain_text(said)


def test_the_budget_is_dragged_by_mouse_and_moved_by_keys(page: Page) -> None:
    assert_everything_agrees(page)
    assert points(page, "fits") == set(list_zoo())
    drag(page, "cost", -260, 0)
    assert_everything_agrees(page)
    assert points(page, "refused")
    value = line(page, "cost").get_attribute("aria-valuenow")
    line(page, "cost").press("ArrowLeft")
    assert_everything_agrees(page)
    assert int(line(page, "cost").get_attribute("aria-valuenow") or 0) == int(value or 0) - 1
    line(page, "cost").press("Home")
    assert_everything_agrees(page)
    assert points(page, "fits") == set()
    expect(page.locator(".am-summary")).to_contain_text("not one keeps the limit on latency, and the nearest")
    line(page, "cost").press("End")
    assert_everything_agrees(page)
    assert points(page, "fits") == set(list_zoo())
    drag(page, "accuracy", 0, -180)
    assert_everything_agrees(page)
    floor = line(page, "accuracy").get_attribute("aria-valuetext") or ""
    asked = float(floor.removeprefix("at least ").removesuffix("%")) / 100
    assert points(page, "refused") == {name for name in list_zoo() if load_card(name).accuracy < asked}
    page.get_by_role("button", name="accuracy at least").click()
    assert_everything_agrees(page)
    assert points(page, "refused") == set()


def test_a_point_shows_its_details_by_click_and_by_enter(page: Page) -> None:
    details = page.get_by_role("region", name="Details of the chosen network")
    page.locator(".am-point[data-network=residual] .am-dot").click()
    wait_until_exact(page)
    expect(details.locator("h4")).to_have_text("residual: Residual network")
    expect(details.locator("[data-field=macs]")).to_have_text(f"{load_card('residual').macs:,}")
    expect(details.locator("[data-field=latency]")).to_have_text(re.compile(r"^[\d.]+ ms$"))
    expect(details.locator(".am-paper")).to_have_text("He et al., 2016")
    expect(details.locator(".am-layers li")).to_have_count(6)
    point = page.locator(".am-point[data-network=residual]")
    point.press("ArrowLeft")
    beside = page.locator(".am-point:focus")
    name = beside.get_attribute("data-network")
    assert name != "residual"
    beside.press("Enter")
    wait_until_exact(page)
    expect(details.locator("h4")).to_contain_text(f"{name}: ")
    expect(page.locator(f".am-point[data-network={name}]")).to_be_focused()
    expect(page.locator(f".am-point[data-network={name}]")).to_have_attribute("aria-pressed", "true")


def test_axis_device_and_reset(page: Page) -> None:
    cost = page.get_by_label("Cost", exact=True)
    expect(cost.locator("option")).to_have_count(len(AXES))
    cost.select_option("memory")
    page.get_by_label("Device", exact=True).select_option("cortex_m3_20k")
    assert_everything_agrees(page)
    expect(page.locator(".am-has")).to_have_text("the device has 20.5 kB")
    expect(page.locator(".am-summary")).to_contain_text("No network fits")
    page.get_by_role("button", name="Reset").click()
    assert_everything_agrees(page)
    expect(page.locator(".am-has")).to_have_count(0)
    expect(cost).to_have_value("latency")
    assert points(page, "fits") == set(list_zoo())


def test_everything_has_a_name_and_figures_and_code_can_be_taken_along(page: Page) -> None:
    for name in ("Cost", "Device", "Rank by"):
        expect(page.get_by_label(name, exact=True)).to_have_count(1)
    for name in ("Budget: most latency", "Budget: least accuracy"):
        expect(page.get_by_role("slider", name=name)).to_have_count(1)
    with page.expect_download(timeout=pages.WAIT_MS) as download:
        page.get_by_role("button", name="Export CSV").click()
    lines = download.value.path().read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + len(list_zoo())
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy as code").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert "shortlist(explorer.networks, limits" in page.evaluate("() => navigator.clipboard.readText()")
