"""The quantizer explorer as a person uses it: drawing, sliders, keyboard, under Voilà and in JupyterLab."""

import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from benchmarks import pages
from benchmarks.pages import Server

CODE = "from course_lib.widgets import QuantizerExplorer\n\nQuantizerExplorer()"
READY = ".qe[data-generation]"
SETTLED = """() => {
  const { exact, generation, sent } = document.querySelector('.qe').dataset;
  return exact === 'true' && generation === (sent ?? generation);
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a notebook that holds nothing but the explorer."""
    path = tmp_path_factory.mktemp("quantizer")
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)"}}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CODE)], metadata=kernel)
    nbformat.write(notebook, path / "quantizer.ipynb")
    return path


@pytest.fixture(scope="module")
def dashboard(folder: Path) -> Iterator[Server]:
    port = pages.free_port()
    options = ["--Voila.config_file_paths=notebooks/dashboards", "--no-browser", f"--port={port}"]
    with pages.served(
        [sys.executable, "-m", "voila", *options, str(folder)], f"http://127.0.0.1:{port}/"
    ) as server:
        server.wait_until_warm()
        yield server


@pytest.fixture(scope="module")
def notebook_server(folder: Path) -> Iterator[Server]:
    port = pages.free_port()
    options = ["--allow-root", "--no-browser", f"--port={port}", "--IdentityProvider.token="]
    command = [sys.executable, "-m", "jupyterlab", *options, f"--ServerApp.root_dir={folder}"]
    with pages.served(command, f"http://127.0.0.1:{port}/lab") as server:
        yield server


@pytest.fixture(params=["voila", "jupyterlab"])
def page(request: pytest.FixtureRequest, context: BrowserContext) -> Page:
    opened = context.new_page()
    if request.param == "voila":
        opened.goto(request.getfixturevalue("dashboard").url + "voila/render/quantizer.ipynb")
        opened.wait_for_selector(READY, timeout=pages.WAIT_MS)
    else:
        opened.goto(f"{request.getfixturevalue('notebook_server').url}/tree/quantizer.ipynb?reset")
        pages.run_all_cells(opened)
    return opened


def settle(page: Page) -> None:
    """Return once the page shows the result of the controls' position."""
    page.wait_for_function(SETTLED, timeout=pages.WAIT_MS)


def shown(page: Page, field: str) -> str:
    return page.locator(f"[data-field={field}]").inner_text()


def label(page: Page) -> str:
    return page.locator(".ce-now").inner_text()


def bar_heights(page: Page) -> list[int]:
    return [
        int(bar.get_attribute("aria-valuenow") or "") for bar in page.get_by_role("slider", name="Bar ").all()
    ]


def assert_everything_agrees(page: Page) -> None:
    """Compare tile, chart and sentence: they say the same signal-to-noise ratio."""
    settle(page)
    chart = page.locator("[data-chart=sqnr]")
    assert chart.get_attribute("data-sqnr") == shown(page, "sqnr")
    bits = page.get_by_label("Bits", exact=True).input_value()
    assert chart.get_attribute("data-bits") == bits
    assert chart.locator(".qe-current title").text_content() == f"{bits} bits: {shown(page, 'sqnr')}"
    assert (chart.get_attribute("aria-label") or "").startswith(f"At {bits} bits {shown(page, 'sqnr')}")
    assert f": {bits} bits" in label(page)


def test_keys_move_the_bits_and_everything_agrees(page: Page) -> None:
    assert_everything_agrees(page)
    before = shown(page, "sqnr")
    page.get_by_label("Bits", exact=True).press("ArrowRight")
    assert_everything_agrees(page)
    assert page.get_by_label("Bits", exact=True).input_value() == "5"
    assert shown(page, "sqnr") != before


def test_a_dragged_slider_ends_at_the_last_setting(page: Page) -> None:
    box = page.get_by_label("Range kept", exact=True).bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] - 9, y)
    page.mouse.down()
    for step in range(40):
        page.mouse.move(box["x"] + box["width"] * (0.95 - step / 60), y)
    page.mouse.up()
    assert_everything_agrees(page)
    percent = page.get_by_label("Range kept", exact=True).input_value()
    assert int(percent) < 60
    assert f"{percent}% of the range kept" in label(page)
    assert "clipped" in shown(page, "error") + page.locator(".ce-tiles").inner_text()
    assert page.locator(".qe-clipped").count() == 2


def test_a_tensor_is_drawn_with_the_mouse(page: Page) -> None:
    settle(page)
    box = page.locator(".qe-draw").bounding_box()
    assert box is not None
    low, top = box["y"] + 0.72 * box["height"], box["y"] + 0.1 * box["height"]
    page.mouse.move(box["x"] + 20, low)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, top)
    page.mouse.move(box["x"] + box["width"] - 20, low)
    page.mouse.up()
    assert_everything_agrees(page)
    assert label(page).startswith("drawn by hand: 4 bits")
    assert page.get_by_label("Tensor", exact=True).input_value() == "drawn by hand"
    heights = bar_heights(page)
    # A triangle, although the pointer was seen at three places only.
    assert heights[:20] == sorted(heights[:20])
    assert heights[-20:] == sorted(heights[-20:], reverse=True)
    assert max(heights) > 80
    page.get_by_label("Bits", exact=True).press("ArrowRight")
    assert_everything_agrees(page)
    assert bar_heights(page) == pytest.approx(heights, abs=1)


def test_a_tensor_is_drawn_with_the_keyboard(page: Page) -> None:
    settle(page)
    first = page.get_by_role("slider", name="Bar 1 of 41")
    first.press("PageUp")
    settle(page)
    expect(first).to_be_focused()
    first.press("ArrowRight")
    second = page.get_by_role("slider", name="Bar 2 of 41")
    expect(second).to_be_focused()
    for key in ("End", "ArrowDown"):
        second.press(key)
    assert_everything_agrees(page)
    assert label(page).startswith("drawn by hand")
    assert second.get_attribute("aria-valuetext") == "95 percent high"
    assert bar_heights(page)[0] in (25, 26)


def test_an_outlier_and_finer_scales(page: Page) -> None:
    page.get_by_label("One outlier", exact=True).press("End")
    assert_everything_agrees(page)
    stretched = shown(page, "scale")
    assert "one outlier at 100 σ" in label(page)
    page.get_by_label("Scales", exact=True).select_option("groups of 32")
    assert_everything_agrees(page)
    assert "128 scales" in page.locator(".ce-tiles").inner_text()
    assert shown(page, "scale") == stretched  # the outlier's own group keeps the widest step
    page.get_by_role("button", name="Reset").press("Enter")
    settle(page)
    assert label(page) == "normal: 4 bits symmetric per tensor"


def test_the_layers_of_a_network_can_be_picked(page: Page) -> None:
    page.get_by_label("Tensor", exact=True).select_option("layers of tiny")
    settle(page)
    expect(page.get_by_label("Layer", exact=True)).to_be_visible()
    names = page.get_by_label("Layer", exact=True).locator("option").all_inner_texts()
    page.get_by_label("Layer", exact=True).select_option(names[0])
    assert_everything_agrees(page)
    assert label(page).startswith(names[0])


def test_an_empty_drawing_gets_one_sentence_and_the_page_goes_on(page: Page) -> None:
    settle(page)
    box = page.locator(".qe-draw").bounding_box()
    assert box is not None
    floor = box["y"] + 0.9 * box["height"]
    page.mouse.move(box["x"] + 2, floor)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, floor)
    page.mouse.up()
    expect(page.get_by_role("alert")).to_contain_text("draw at least one bar")
    page.get_by_role("slider", name="Bar 9 of 41").press("End")
    settle(page)
    expect(page.locator(".ce-error")).to_be_empty()


def test_the_setting_can_be_copied_as_code(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    settle(page)
    page.get_by_role("button", name="Copy as code").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert "distribution('normal')" in page.evaluate("() => navigator.clipboard.readText()")


def test_every_control_and_chart_has_a_name_for_screen_readers(page: Page) -> None:
    for name in ("Tensor", "Scales", "Symmetric", "Bits", "Range kept", "One outlier"):
        expect(page.get_by_label(name, exact=True)).to_have_count(1)
    for chart in page.locator(".qe svg.ce-chart").all():
        assert chart.get_attribute("aria-label")
    assert page.get_by_label("Bits", exact=True).get_attribute("aria-valuetext") == "4 bits"
