"""The backend board as a person uses it: headings, rows and points, by mouse and keys, in both places."""

import re

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from benchmarks import pages
from benchmarks.pages import wait_until_exact
from course_lib.pipelines.compile_targets import TARGETS
from course_lib.runtimes.compilation import PRECISIONS
from course_lib.widgets import BackendBoard
from tests.browser.opening import open_dashboard

NAME = "backend_board.ipynb"
COLUMNS = ("latency", "ratio", "size", "parity", "agreement")


@pytest.fixture(scope="session")
def _engines() -> None:
    """Fill the engine cache, as building takes minutes where all compilers are installed."""
    board = BackendBoard()
    assert board.wait(900), board.error
    board.close()


@pytest.fixture(params=["voila", "jupyterlab"])
def page(
    _engines: None,
    request: pytest.FixtureRequest,
    context: BrowserContext,
    monkeypatch: pytest.MonkeyPatch,
) -> Page:
    # All compilers are imported and all forms of the network made before the last cell is done.
    monkeypatch.setattr(pages, "WAIT_MS", 300_000)
    return open_dashboard(NAME, request, context)


def rows(page: Page) -> list[Locator]:
    return page.locator(".bb-row").all()


def keys(page: Page) -> list[str]:
    return [row.get_attribute("data-cell") or "" for row in rows(page)]


def choose(page: Page, group: str, name: str, wanted: bool) -> None:
    page.get_by_role("group", name=group).get_by_label(name, exact=True).set_checked(wanted)
    wait_until_exact(page)


def assert_everything_agrees(page: Page) -> None:
    """Compare table, points, tiles and the sentence with each other."""
    wait_until_exact(page)
    axis = page.get_by_label("Chart", exact=True).input_value()
    ran = page.locator(".bb-row.bb-ran").all()
    drawn = page.locator(".bb-point").all()
    assert {row.get_attribute("data-cell") for row in ran} == {
        point.get_attribute("data-cell") for point in drawn
    }
    for row in ran:
        key = row.get_attribute("data-cell") or ""
        words = page.locator(f'.bb-point[data-cell="{key}"]').get_attribute("aria-label") or ""
        assert row.locator("[data-column=parity]").inner_text() in words
        assert row.locator(f"[data-column={axis}]").inner_text() in words
    built = len(ran) + page.locator(".bb-row.bb-built").count()
    expect(page.locator(".bb-summary")).to_contain_text(f"{built} of {len(keys(page))} cells are built")
    here = page.locator(".bb-row.bb-here")
    expect(here).to_have_count(1)
    for column in COLUMNS:
        expect(page.locator(f".bb-details [data-field={column}]")).to_have_text(
            here.locator(f"[data-column={column}]").inner_text()
        )
    for row in page.locator(".bb-row:not(.bb-ran)").all():
        assert len(row.locator(".bb-why").inner_text()) > 20


def test_rows_are_sorted_by_mouse_and_by_keys(page: Page) -> None:
    assert len(keys(page)) == len(TARGETS) * len(PRECISIONS)
    assert_everything_agrees(page)
    head = page.get_by_role("columnheader", name=re.compile("^p50"))
    head.get_by_role("button").click()
    wait_until_exact(page)
    expect(head).to_have_attribute("aria-sort", "ascending")
    assert_everything_agrees(page)
    times = [row.locator("[data-column=latency]").inner_text() for row in rows(page)]
    found = [float(time.removesuffix(" ms")) for time in times if time != "–"]
    assert found == sorted(found)
    assert times[len(found) :] == ["–"] * (len(times) - len(found))
    head.get_by_role("button").press("Enter")
    wait_until_exact(page)
    expect(head).to_have_attribute("aria-sort", "descending")
    expect(head.get_by_role("button")).to_be_focused()
    times = [row.locator("[data-column=latency]").inner_text() for row in rows(page)][: len(found)]
    assert [float(time.removesuffix(" ms")) for time in times] == sorted(found, reverse=True)
    for name in ("Size", "Worst difference"):
        page.get_by_role("columnheader", name=name).get_by_role("button").press("Enter")
        wait_until_exact(page)
        assert_everything_agrees(page)


def test_a_cell_shows_its_details_by_row_and_by_point(page: Page) -> None:
    details = page.get_by_role("region", name="Details of the chosen cell")
    first = page.locator('.bb-row[data-cell="depthwise onnxruntime fp32"]')
    first.locator(".bb-open").click()
    wait_until_exact(page)
    expect(details.locator("h4")).to_have_text("depthwise for onnxruntime fp32")
    expect(details.locator("[data-field=ratio]")).to_have_text("1 (baseline)")
    expect(details.locator(".bb-command")).to_have_text(
        "python -m course_lib.pipelines.compile depthwise --targets onnxruntime --precisions fp32"
    )
    expect(details.locator(".bb-messages li").first).to_contain_text("Compiled files: ")
    assert_everything_agrees(page)
    opened = first.locator(".bb-open")
    opened.press("ArrowDown")
    page.keyboard.press("Enter")
    wait_until_exact(page)
    assert page.locator(".bb-row.bb-here").get_attribute("data-cell") == keys(page)[1]
    expect(page.locator(".bb-row.bb-here .bb-open")).to_be_focused()
    point = page.locator('.bb-point[data-cell="depthwise onnxruntime int8"]')
    point.focus()
    point.press("Enter")
    wait_until_exact(page)
    expect(details.locator("h4")).to_have_text("depthwise for onnxruntime int8")
    expect(point).to_have_attribute("aria-pressed", "true")
    assert_everything_agrees(page)


def test_cells_are_chosen_stopped_and_measured_again(page: Page) -> None:
    for target in TARGETS:
        choose(page, "Targets", target, target == "onnxruntime")
    choose(page, "Precisions", "fp16", False)
    assert keys(page) == ["depthwise onnxruntime fp32", "depthwise onnxruntime int8"]
    choose(page, "Networks", "tiny", True)
    assert len(keys(page)) == 4
    assert_everything_agrees(page)
    page.get_by_label("Chart", exact=True).select_option("size")
    wait_until_exact(page)
    expect(page.locator("[data-chart=board]")).to_contain_text("size of the built files")
    page.get_by_role("button", name="Stop", exact=True).click()
    wait_until_exact(page)
    choose(page, "Networks", "residual", True)
    expect(page.locator(".bb-progress")).to_have_text("4 of 6 cells done. Stopped.")
    page.get_by_role("button", name="Go on").click()
    wait_until_exact(page)
    assert_everything_agrees(page)
    page.get_by_role("button", name="Measure again").click()
    wait_until_exact(page)
    expect(page.locator(".bb-details")).to_contain_text("400 interleaved rounds")
    for name in ("depthwise", "tiny", "residual"):
        choose(page, "Networks", name, False)
    expect(page.locator(".bb-summary")).to_have_text(re.compile("^The board is empty"))


def test_everything_has_a_name_and_figures_and_code_can_be_taken_along(page: Page) -> None:
    for name in ("Networks", "Targets", "Precisions"):
        expect(page.get_by_role("group", name=name)).to_have_count(1)
    expect(page.get_by_role("progressbar", name="Cells done")).to_have_count(1)
    with page.expect_download(timeout=pages.WAIT_MS) as download:
        page.get_by_role("button", name="Export CSV").click()
    lines = download.value.path().read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + len(keys(page))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy as code").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert "compile_model('depthwise', targets" in page.evaluate("() => navigator.clipboard.readText()")
