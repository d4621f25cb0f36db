"""The explorer as a person uses it: keyboard, mouse, reload, two tabs, under Voilà and in JupyterLab."""

import csv
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, expect

from benchmarks import pages
from benchmarks.pages import Server, open_in_lab, run_all_cells, wait_until_exact
from course_lib.architectures import load_card

CARD = load_card("depthwise")


def shown(page: Page, field: str) -> str:
    return page.locator(f"[data-field={field}]").inner_text()


def all_fields(page: Page) -> list[str]:
    return [shown(page, field) for field in ("accuracy", "latency", "size", "sqnr")]


def drag(page: Page, slider: str, shares: list[float]) -> None:
    """Press the mouse on a slider and pass through these positions, given as shares of its length."""
    box = page.get_by_label(slider, exact=True).bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 8, y)
    page.mouse.down()
    for share in shares:
        page.mouse.move(box["x"] + 8 + share * (box["width"] - 16), y)
    page.mouse.up()


def test_the_dense_model_has_the_accuracy_of_its_card(explorer_page: Page):
    wait_until_exact(explorer_page)
    assert shown(explorer_page, "accuracy") == f"{CARD.accuracy:.2%}"
    assert shown(explorer_page, "sqnr") == "∞ dB"


def test_text_chart_and_table_agree_after_a_key_press(explorer_page: Page):
    explorer_page.get_by_label("Weight bits").press("End")
    explorer_page.get_by_label("Weight bits").press("ArrowLeft")
    wait_until_exact(explorer_page)
    fields = all_fields(explorer_page)
    row = explorer_page.locator("tr[aria-current] td").all_inner_texts()
    chart = explorer_page.locator("[data-chart=frontier]")
    assert row == fields
    assert chart.get_attribute("data-cells") == "|".join(fields)
    assert f"{float(chart.get_attribute('data-accuracy') or 'nan'):.2%}" == fields[0]
    assert (
        explorer_page.locator("tr[aria-current] th").inner_text() == "0% zeros, 3 bits symmetric per channel"
    )
    assert (
        chart.locator(".ce-current title").text_content()
        == f"{_label(explorer_page)}: {fields[0]}, {fields[2]}"
    )


def _label(page: Page) -> str:
    return page.locator("tr[aria-current] th").inner_text()


def remove_half_of_the_channels(page: Page) -> None:
    slider = page.get_by_label("Channels removed", exact=True)
    expect(slider).to_be_enabled(timeout=pages.WAIT_MS)
    for _ in range(10):
        slider.press("ArrowRight")
    wait_until_exact(page)


def test_channels_can_be_removed_with_the_keyboard_and_everything_agrees(explorer_page: Page):
    remove_half_of_the_channels(explorer_page)
    fields = all_fields(explorer_page)
    assert explorer_page.locator("tr[aria-current] td").all_inner_texts() == fields
    chart = explorer_page.locator("[data-chart=frontier]")
    assert chart.get_attribute("data-cells") == "|".join(fields)
    removed = "50% of the channels removed (L1 norm, multiples of 8)"
    assert _label(explorer_page) == f"{removed}, 0% zeros, 32-bit float"
    kept, total = map(int, shown(explorer_page, "channels").split(" of "))
    assert 0.4 < kept / total < 0.6
    tile = explorer_page.locator(".ce-tile", has_text="Channels left")
    expect(tile).to_contain_text("× fewer MACs, ")
    expect(tile).to_contain_text("ranked by L1 norm")
    slider = explorer_page.get_by_label("Channels removed", exact=True)
    assert slider.get_attribute("aria-valuetext") == "50 percent of the channels removed"


def test_the_importance_can_be_chosen_and_reset_brings_all_channels_back(explorer_page: Page):
    remove_half_of_the_channels(explorer_page)
    explorer_page.get_by_label("Least by").select_option("bn_scale")
    wait_until_exact(explorer_page)
    assert "(batch-norm scale, multiples of 8)" in _label(explorer_page)
    explorer_page.get_by_role("button", name="Reset").press("Enter")
    wait_until_exact(explorer_page)
    assert shown(explorer_page, "channels") == "all"
    assert explorer_page.get_by_label("Channels removed", exact=True).input_value() == "0"
    assert shown(explorer_page, "accuracy") == f"{CARD.accuracy:.2%}"


def test_a_rapid_drag_over_the_channels_ends_at_the_last_setting(explorer_page: Page):
    expect(explorer_page.get_by_label("Channels removed", exact=True)).to_be_enabled(timeout=pages.WAIT_MS)
    drag(explorer_page, "Channels removed", [step / 60 for step in range(50)])
    wait_until_exact(explorer_page)
    percent = explorer_page.get_by_label("Channels removed", exact=True).input_value()
    assert int(percent) >= 60
    assert _label(explorer_page).startswith(f"{percent}% of the channels removed")


def test_a_rapid_drag_ends_at_the_last_setting(explorer_page: Page):
    drag(explorer_page, "Sparsity", [step / 60 for step in range(55)])
    wait_until_exact(explorer_page)
    percent = explorer_page.get_by_label("Sparsity").input_value()
    assert int(percent) > 70
    assert _label(explorer_page).startswith(f"{percent}% zeros")
    assert shown(explorer_page, "accuracy") == explorer_page.locator("tr[aria-current] td").first.inner_text()


def test_reset_goes_back_to_the_dense_model(explorer_page: Page):
    explorer_page.get_by_label("Sparsity").press("End")
    wait_until_exact(explorer_page)
    assert shown(explorer_page, "accuracy") != f"{CARD.accuracy:.2%}"
    explorer_page.get_by_role("button", name="Reset").press("Enter")
    wait_until_exact(explorer_page)
    assert shown(explorer_page, "accuracy") == f"{CARD.accuracy:.2%}"
    assert explorer_page.get_by_label("Sparsity").input_value() == "0"


def test_a_visited_setting_can_be_gone_back_to_with_the_keyboard(explorer_page: Page):
    explorer_page.get_by_label("Weight bits").press("End")
    wait_until_exact(explorer_page)
    two_bits = all_fields(explorer_page)
    explorer_page.get_by_role("button", name="Reset").click()
    wait_until_exact(explorer_page)
    row = explorer_page.get_by_role("button", name="0% zeros, 2 bits symmetric per channel")
    row.press("Enter")
    wait_until_exact(explorer_page)
    assert all_fields(explorer_page) == two_bits
    expect(row).to_be_focused()


def test_visited_settings_can_be_forgotten(explorer_page: Page):
    for _ in range(2):
        explorer_page.get_by_label("Weight bits").press("ArrowRight")
        wait_until_exact(explorer_page)
    assert explorer_page.locator(".ce-visited tbody tr").count() >= 3
    explorer_page.get_by_role("button", name="Forget them").click()
    expect(explorer_page.locator(".ce-visited tbody tr")).to_have_count(1)
    assert _label(explorer_page) == "0% zeros, 8 bits symmetric per channel"


def test_the_setting_can_be_copied_as_code(explorer_page: Page):
    explorer_page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    wait_until_exact(explorer_page)
    explorer_page.get_by_role("button", name="Copy as code").click()
    expect(explorer_page.get_by_role("button", name="Copied")).to_be_visible()
    code = explorer_page.evaluate("() => navigator.clipboard.readText()")
    assert "CompressionEngine('depthwise', load_dataset(\"fashion-mnist\"))" in code


def test_the_classes_are_shown_on_demand(explorer_page: Page):
    wait_until_exact(explorer_page)
    explorer_page.get_by_text("Accuracy of each class").click()
    expect(explorer_page.locator(".ce-classes li")).to_have_count(10)
    expect(explorer_page.locator(".ce-classes")).to_contain_text("Ankle boot")


def test_the_visited_settings_download_as_csv(explorer_page: Page, tmp_path: Path):
    explorer_page.get_by_label("Weight bits").press("ArrowRight")
    wait_until_exact(explorer_page)
    with explorer_page.expect_download() as download:
        explorer_page.get_by_role("button", name="Export CSV").click()
    path = tmp_path / "visited.csv"
    download.value.save_as(path)
    rows = list(csv.DictReader(path.open()))
    (row,) = [row for row in rows if row["bits"] == "16" and row["sparsity"] == "0.0"]
    assert f"{float(row['accuracy']):.2%}" == shown(explorer_page, "accuracy")


def test_every_control_and_chart_has_a_name_for_screen_readers(explorer_page: Page):
    names = ("Model", "Channels removed", "Least by", "Keep multiples of", "Sparsity", "Weight bits")
    for name in (*names, "Symmetric", "A scale per channel", "Layer"):
        expect(explorer_page.get_by_label(name, exact=True)).to_have_count(1)
    explorer_page.get_by_label("Sparsity").press("ArrowRight")
    assert explorer_page.get_by_label("Sparsity").get_attribute("aria-valuetext") == "1 percent zeros"
    for chart in explorer_page.locator("svg[role=img]").all():
        assert chart.get_attribute("aria-label")


def test_the_layer_of_the_histogram_can_be_chosen(explorer_page: Page):
    wait_until_exact(explorer_page)
    explorer_page.get_by_label("Layer").select_option("stem.0.0.weight")
    expect(explorer_page.locator(".ce figcaption")).to_contain_text("stem.0.0.weight")


def test_a_reloaded_page_works(voila: Server, context: BrowserContext):
    page = pages.open_explorer(context.new_page(), voila)
    page.get_by_label("Weight bits").press("End")
    wait_until_exact(page)
    page.reload()
    page.wait_for_selector(pages.EXPLORER)
    wait_until_exact(page)
    assert shown(page, "accuracy") == f"{CARD.accuracy:.2%}"
    page.get_by_label("Sparsity").press("ArrowRight")
    wait_until_exact(page)
    assert _label(page).startswith("1% zeros")


def test_two_tabs_do_not_disturb_each_other(voila: Server, context: BrowserContext):
    first, second = (pages.open_explorer(context.new_page(), voila) for _ in range(2))
    first.get_by_label("Sparsity").press("End")
    second.get_by_label("Weight bits").press("End")
    wait_until_exact(first)
    wait_until_exact(second)
    assert _label(first) == "99% zeros, 32-bit float"
    assert _label(second) == "0% zeros, 2 bits symmetric per channel"


def test_two_tabs_and_a_reload_in_jupyterlab(lab: Server, context: BrowserContext):
    first, second = (open_in_lab(context.new_page(), lab) for _ in range(2))
    first.get_by_label("Sparsity").press("End")
    second.get_by_label("Weight bits").press("End")
    wait_until_exact(first)
    wait_until_exact(second)
    assert _label(first) == "99% zeros, 32-bit float"
    assert _label(second) == "0% zeros, 2 bits symmetric per channel"
    first.reload()
    run_all_cells(first)
    first.get_by_label("Sparsity").press("ArrowRight")
    wait_until_exact(first)
    assert _label(first) == "1% zeros, 32-bit float"


def test_the_page_shows_neither_code_nor_tracebacks(voila: Server, context: BrowserContext):
    page = pages.open_explorer(context.new_page(), voila)
    assert page.locator(".jp-InputArea-editor").count() == 0
    assert "Traceback" not in page.inner_text("body")


def test_make_lab_opens_the_first_week(lab: Server, context: BrowserContext):
    page = context.new_page()
    page.goto(lab.url.removesuffix("lab"))
    page.wait_for_selector(".jp-NotebookPanel")
    expect(page.locator("body")).to_contain_text("Measure first")
