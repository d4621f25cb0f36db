"""What the chart draws is read back from its lines and words."""

import pytest

from course_lib.errors import SettingError
from course_lib.pipelines.sparse_kernels import FORMATS
from course_lib.widgets.chart import TALL, WIDE
from course_lib.widgets.sparsity_charts import break_even_chart
from tests.pipelines.sparsity_studies import RATIOS, make_study


@pytest.mark.parametrize("size", [WIDE, TALL])
def test_ratios_and_break_even_points(size: tuple[float, float]) -> None:
    chart = break_even_chart(make_study(), 64, size)
    ratios, points = chart.figure.axes
    drawn = {line.get_label(): tuple(line.get_ydata()) for line in ratios.lines[:-1]}
    assert drawn == RATIOS
    assert [list(line.get_xdata()) for line in ratios.lines[:-1]] == [[0.5, 0.8, 0.9]] * len(RATIOS)
    # The second format never pays, so it has no point.
    assert [line.get_ydata()[0] for line in points.lines] == pytest.approx([0.85, 0.5, 0.760], abs=1e-3)
    assert ratios.get_title() == "latency, as a multiple of dense, ONNX Runtime"
    assert chart.summary == (
        "Zeros with which a 64×64 matrix is faster than the best dense kernel (columns: 1), measured up to "
        f"90%: {FORMATS[0]} from 85%, {FORMATS[1]} never, {FORMATS[2]} from 50%, {FORMATS[3]} from 76%."
    )


def test_a_size_that_was_not_measured() -> None:
    with pytest.raises(SettingError) as error:
        break_even_chart(make_study(), 100)
    assert str(error.value) == "Matrices of 100×100 were not measured; choose one of (64,)."
