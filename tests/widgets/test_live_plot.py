"""A plot that grows: records come in, and one picture in one place shows them all."""

from typing import Any

import nbformat
import pytest
from matplotlib.figure import Figure
from nbclient import NotebookClient

from course_lib.errors import SettingError
from course_lib.widgets import live_plot
from course_lib.widgets.chart import Chart
from course_lib.widgets.live_plot import LivePlot


def words(runs: Any) -> Chart:
    return Chart(Figure(), "; ".join(f"{name} {list(records)}" for name, records in runs.items()))


class Place:
    def __init__(self) -> None:
        self.shown: list[str] = []

    def update(self, chart: Chart) -> None:
        self.shown.append(str(chart))


def test_each_record_draws_all_runs_again(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place()

    def display(chart: Chart, *, display_id: bool) -> Place:
        assert display_id
        place.shown.append(str(chart))
        return place

    monkeypatch.setattr(live_plot, "display", display)
    live: LivePlot[int] = LivePlot(words)
    first, second = live.run("first"), live.run("second")
    first(1)
    first(2)
    second(7)
    assert place.shown == ["first [1]", "first [1, 2]", "first [1, 2]; second [7]"]
    assert live.records == {"first": [1, 2], "second": [7]}


def test_without_a_notebook_it_tells_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    live: LivePlot[int] = LivePlot(words)
    report = live.run("run")
    report(1)
    report(2)
    assert capsys.readouterr().out.splitlines() == ["run [1]", "run [1, 2]"]


def test_a_name_is_used_once() -> None:
    live: LivePlot[int] = LivePlot(words)
    live.run("alone")
    with pytest.raises(
        SettingError, match="has a run called 'alone' already; give each run a name of its own"
    ):
        live.run("alone")


@pytest.mark.slow
def test_an_executed_notebook_keeps_one_picture_of_the_whole_run() -> None:
    source = (
        "from matplotlib.figure import Figure\n"
        "from course_lib.widgets.chart import Chart\n"
        "from course_lib.widgets.live_plot import LivePlot\n"
        "live = LivePlot(lambda runs: Chart(Figure(), str(runs)))\n"
        "report = live.run('run')\n"
        "for number in range(3):\n"
        "    report(number)"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    NotebookClient(notebook, timeout=120).execute()
    (output,) = notebook.cells[0].outputs
    assert output["data"]["text/plain"] == "{'run': [0, 1, 2]}"
    assert "data:image/png;base64," in output["data"]["text/html"]
