import base64
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import pytest

from course_lib.widgets.chart import TALL, WIDE, Chart, panels


@pytest.fixture
def chart() -> Chart:
    figure, (axes,) = panels(1, WIDE)
    axes.plot([1, 2], [3, 4])
    return Chart(figure, 'rises from 3 to 4 <in "order">')


def test_panels_lie_beside_each_other_or_stacked() -> None:
    wide, tall = panels(3, WIDE)[0], panels(3, TALL)[0]
    assert wide.axes[0].get_subplotspec().get_gridspec().get_geometry() == (1, 3)
    assert tall.axes[0].get_subplotspec().get_gridspec().get_geometry() == (3, 1)


def test_a_chart_carries_its_words(chart: Chart) -> None:
    shown = chart._repr_html_()
    assert 'alt="rises from 3 to 4 &lt;in &quot;order&quot;&gt;"' in shown
    picture = base64.b64decode(re.search('base64,([^"]*)', shown)[1])
    assert picture.startswith(b"\x89PNG")
    assert repr(chart) == chart.summary


def test_a_dashboard_does_not_load_what_only_charts_need() -> None:
    code = "import sys, course_lib.widgets; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_nothing_stays_open_behind_the_notebook(chart: Chart) -> None:
    chart.png()
    assert plt.get_fignums() == []


def test_a_saved_chart_is_repeatable_svg_with_its_origin(chart: Chart, tmp_path: Path) -> None:
    figure, (axes,) = panels(1, WIDE)
    axes.plot([1, 2], [3, 4])
    again = Chart(figure, chart.summary)
    chart.save(tmp_path / "one.svg", footnote="measured here")
    again.save(tmp_path / "two.svg", footnote="measured here")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    text = "".join(ElementTree.parse(tmp_path / "one.svg").getroot().itertext())
    assert chart.summary in text
    assert "measured here" in text
