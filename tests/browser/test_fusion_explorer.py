"""The fusion explorer as a person uses it: slider, keys, nodes to point at, under Voilà and in JupyterLab."""

import re
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from benchmarks import pages
from benchmarks.pages import wait_until_exact
from course_lib.architectures import list_zoo
from course_lib.explore.fusion import LEVELS, FusionEngine
from course_lib.runtimes.onnx_runtime import Optimization
from tests.browser.opening import open_dashboard
from tests.explore.fusion_net import net

NAME = "fusion_explorer.ipynb"
ROOT = "document.querySelector('.fx')"
WATCH = f"""() => {{
  window.shown = [];
  const state = {ROOT}.dataset;
  new MutationObserver(() => window.shown.push([Number(state.generation), state.level, state.picture]))
    .observe({ROOT}, {{ attributes: true, attributeFilter: ['data-generation'] }});
}}"""


@pytest.fixture(params=["voila", "jupyterlab"])
def page(request: pytest.FixtureRequest, context: BrowserContext) -> Page:
    return open_dashboard(NAME, request, context)


@pytest.fixture(scope="module")
def engine() -> FusionEngine:
    return FusionEngine("residual")


def slider(page: Page) -> Locator:
    return page.get_by_role("slider", name="Optimization level")


def graphs(page: Page) -> Locator:
    return page.get_by_role("listbox", name="Nodes of both graphs")


def nodes(page: Page, side: str) -> Locator:
    return page.locator(f".fx-node[data-side={side}]")


def tile(page: Page, field: str) -> str:
    return page.locator(f"[data-field={field}]").inner_text()


def assert_everything_agrees(page: Page, engine: FusionEngine, level: Optimization) -> None:
    """Compare picture, tiles, both tables and sentence with each other, and the graph with the engine's."""
    wait_until_exact(page)
    diff = engine.diff(level)
    runs = len(diff.after.nodes)
    expect(slider(page)).to_have_attribute("aria-valuetext", level)
    expect(page.locator(".fx")).to_have_attribute("data-picture", f"residual {level}")
    expect(nodes(page, "before")).to_have_count(len(diff.before.nodes))
    expect(nodes(page, "after")).to_have_count(runs)
    expect(page.locator(".fx-node.fx-fused[data-side=after]")).to_have_count(len(diff.fused))
    assert tile(page, "nodes") == f"{runs} of {len(diff.before.nodes)}"
    assert tile(page, "fused") == str(len(diff.fused))
    assert re.fullmatch(r"\d+\.\d{3} ms", tile(page, "latency"))
    counts = {
        row.get_attribute("data-operator"): row.locator("td").nth(1).inner_text()
        for row in page.locator("[data-table=operators] tbody tr").all()
    }
    assert {kind: int(count) for kind, count in counts.items() if count != "–"} == diff.after.operator_counts
    here = page.locator(f"[data-table=levels] tr[data-level={level}]")
    expect(here).to_have_attribute("aria-current", "true")
    assert here.locator("td").first.inner_text() == str(runs)
    detail = page.locator(".ce-tile:has([data-field=latency]) small").inner_text()
    assert detail.startswith(f"{here.locator('td').nth(1).inner_text()} level off's ")
    expect(page.locator(".fx-heads")).to_contain_text(f"Runs at level {level}: {runs} nodes")
    expect(page.locator(".fx-explanation")).to_contain_text(f"{runs} {'nodes ' * (level == 'off')}run")


def test_it_opens_with_all_fusions_and_their_latency(page: Page, engine: FusionEngine) -> None:
    assert_everything_agrees(page, engine, "all")
    expect(page.get_by_label("Model", exact=True).locator("option")).to_have_count(len(list_zoo()))
    expect(page.locator(".fx-legend li")).to_have_count(
        len({match.pattern for match in engine.diff("all").fused})
    )


def test_keys_move_the_level_and_everything_follows(page: Page, engine: FusionEngine) -> None:
    slider(page).press("Home")
    assert_everything_agrees(page, engine, "off")
    expect(page.locator(".fx-explanation")).to_contain_text("what differs from 1 is noise")
    for level in LEVELS[1:]:
        slider(page).press("ArrowRight")
        assert_everything_agrees(page, engine, level)
    unmeasured = page.locator("[data-table=levels] td", has_text="not yet measured")
    expect(unmeasured).to_have_count(0)


def test_the_mouse_drags_the_level(page: Page, engine: FusionEngine) -> None:
    box = slider(page).bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] - 8, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=6)
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    assert_everything_agrees(page, engine, "basic")


def test_pointing_at_a_fused_node_says_and_shows_what_went_into_it(page: Page, engine: FusionEngine) -> None:
    slider(page).fill("2")
    assert_everything_agrees(page, engine, "extended")
    diff = engine.diff("extended")
    match = diff.fused[0]
    place = [node.name for node in diff.after.nodes].index(match.node)
    nodes(page, "after").nth(place).hover()
    about = page.locator(".fx-about")
    expect(about).to_contain_text(f"stands for {len(match.parts)} nodes of the file: ")
    for part in match.parts:
        expect(about).to_contain_text(part)
    expect(page.locator(".fx-node.fx-lit[data-side=before]")).to_have_count(len(match.parts))
    expect(page.locator(".fx-link.fx-lit")).to_have_count(len(match.parts))
    page.locator(".fx-explanation").hover()
    expect(page.locator(".fx-lit")).to_have_count(0)


def test_the_picture_is_walked_with_the_keyboard(page: Page, engine: FusionEngine) -> None:
    slider(page).fill("1")
    assert_everything_agrees(page, engine, "basic")
    picture = graphs(page)
    picture.focus()
    picture.press("ArrowDown")
    chosen = page.locator(".fx-node[aria-selected=true]")
    expect(chosen).to_have_attribute("data-side", "after")
    expect(page.locator(".fx-about")).to_contain_text("stands for 2 nodes of the file: Conv ")
    expect(picture).to_have_attribute("aria-activedescendant", chosen.get_attribute("id") or "none")
    picture.press("ArrowLeft")
    expect(chosen).to_have_attribute("data-side", "before")
    expect(page.locator(".fx-about")).to_contain_text("together with BatchNormalization")
    picture.press("ArrowDown")
    expect(page.locator(".fx-about")).to_contain_text("together with Conv")
    picture.press("End")
    expect(chosen).to_have_attribute("data-place", str(len(engine.diff("basic").before.nodes) - 1))
    expect(chosen).to_be_in_viewport()
    picture.press("Escape")
    expect(chosen).to_have_count(0)


def test_nodes_are_timed_when_asked(page: Page, engine: FusionEngine) -> None:
    page.get_by_label("Time every node").check()
    assert_everything_agrees(page, engine, "all")
    times = page.locator(".fx-us")
    expect(times).to_have_count(len(engine.diff("all").after.nodes))
    expect(times.first).to_contain_text("µs")
    expect(page.locator("[data-table=operators] td", has_text="µs").first).to_be_visible()
    longest = max(float(bar.get_attribute("width") or 0) for bar in page.locator(".fx-time").all())
    assert longest == 290
    page.get_by_label("Time every node").uncheck()
    wait_until_exact(page)
    expect(times.first).to_have_text("")


def test_another_model_can_be_chosen(page: Page) -> None:
    page.get_by_label("Model", exact=True).select_option("plain_conv")
    wait_until_exact(page)
    diff = FusionEngine("plain_conv").diff("all")
    expect(nodes(page, "before")).to_have_count(len(diff.before.nodes))
    assert tile(page, "nodes") == f"{len(diff.after.nodes)} of {len(diff.before.nodes)}"


def test_a_fast_drag_ends_at_the_last_level_and_shows_nothing_stale(page: Page, engine: FusionEngine) -> None:
    page.evaluate(WATCH)
    slider(page).evaluate(
        """async (slider) => {
          for (let round = 0; round < 10; round += 1) {
            for (const value of [0, 1, 2, 3, 2, 1]) {
              slider.value = value;
              slider.dispatchEvent(new Event('input'));
              await new Promise((done) => setTimeout(done, 15));
            }
          }
        }"""
    )
    assert_everything_agrees(page, engine, "basic")
    states = page.evaluate("window.shown")
    assert all(later[0] >= earlier[0] for earlier, later in pairwise(states))
    assert all(picture == f"residual {level}" for _, level, picture in states)
    assert states[-1][0] == int(page.locator(".fx").get_attribute("data-sent") or 0)


def test_the_picture_and_the_code_can_be_taken_along(page: Page) -> None:
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the picture").click()
    assert download.value.suggested_filename == "fusion_all.svg"
    assert Path(download.value.path()).read_text(encoding="utf-8").startswith("<svg ")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy as code").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    code = page.evaluate("() => navigator.clipboard.readText()")
    assert "engine = FusionEngine('residual')" in code


def test_a_model_of_ones_own_is_explored_and_a_broken_file_explained(
    request: pytest.FixtureRequest, context: BrowserContext, tmp_path: Path
) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(net())
    (tmp_path / "broken.onnx").write_text("hello")
    own = f"FusionExplorer({str(path)!r}, level='basic')"
    broken = f"FusionExplorer({str(tmp_path / 'broken.onnx')!r})"
    page = open_cell(f"VBox([{own}, {broken}])", request, context)
    first, second = page.locator(".fx").all()
    expect(first).to_have_attribute("data-exact", "true", timeout=pages.WAIT_MS)
    expect(first.locator(".fx-node[data-side=before]")).to_have_count(10)
    expect(first.locator("[data-field=nodes]")).to_have_text("8 of 10")
    expect(second.locator(".ce-error")).to_contain_text("broken.onnx is not an ONNX", timeout=pages.WAIT_MS)


def open_cell(cell: str, request: pytest.FixtureRequest, context: BrowserContext) -> Page:
    """Open a notebook of one's own in JupyterLab, and run it."""
    lab = request.getfixturevalue("lab")
    imports = "from ipywidgets import VBox\nfrom course_lib.widgets import FusionExplorer"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in (imports, cell)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3 (ipykernel)"}
    file = pages.ROOT / "runs" / "own_fusion_explorer.ipynb"
    file.parent.mkdir(exist_ok=True)
    request.addfinalizer(lambda: file.unlink(missing_ok=True))
    nbformat.write(notebook, file)
    page = context.new_page()
    page.goto(f"{lab.url}/tree/runs/{file.name}?reset")
    pages.run_all_cells(page)
    page.locator(".fx").nth(1).wait_for(timeout=pages.WAIT_MS)
    return page
