import numpy as np
import pytest
from matplotlib.figure import Figure

from course_lib.benchmarking import record_machine
from course_lib.pipelines.compile_report import CompiledCell, CompileReport
from course_lib.runtimes.session_memory import SessionBytes, SessionMemory
from course_lib.widgets.chart import TALL
from course_lib.widgets.runtime_charts import (
    EQUAL,
    cells_chart,
    launches_chart,
    operators_chart,
    session_memory_chart,
)

COUNTS = {"Conv": (3, 3), "Relu": (3, 0), "Gemm": (1, 1)}


def words(figure: Figure) -> str:
    """Return all text of a figure."""
    return " ".join(text.get_text() for text in figure.findobj(lambda each: hasattr(each, "get_text")))


def cell(target: str, precision: str, **facts) -> CompiledCell:
    return CompiledCell(target=target, precision=precision, built=True, **facts)


@pytest.fixture
def report() -> CompileReport:
    return CompileReport(
        machine=record_machine(),
        model="net",
        batch=1,
        input_shape=(1, 1, 4, 4),
        cells=(
            cell("onnxruntime", "fp32", size_bytes=4000, build_s=0.02, max_absolute=0.0),
            cell("openvino", "int8", size_bytes=1500, build_s=0.5, max_absolute=0.25),
            cell("tensorrt_rtx_sm89", "fp16", size_bytes=2500, build_s=2.0, why_not="There is no GPU here."),
        ),
    )  # fmt: skip


def test_operators_are_stacked_to_their_total() -> None:
    chart = operators_chart(COUNTS, ("file", "all"), TALL)
    (axes,) = chart.figure.axes
    bars = [patch for patch in axes.patches if patch.get_width()]
    assert [
        max(b.get_x() + b.get_width() for b in bars if round(b.get_y() + 0.4) == row) for row in (0, 1)
    ] == [7, 4]
    assert str(chart) == "Number of operators: file 7, all 4."
    assert "Relu" in words(chart.figure)


def test_rare_operators_share_a_colour() -> None:
    many = {f"Op{place}": (20 - place, 1) for place in range(12)}
    chart = operators_chart(many, ("file", "all"))
    assert "others" in words(chart.figure)
    assert "Op11" not in words(chart.figure)
    assert str(chart) == f"Number of operators: file {sum(20 - place for place in range(12))}, all 12."


def test_memory_shows_peak_and_what_is_held() -> None:
    results = {
        "default": SessionBytes(1_000_000, 2_000_000, (9_000_000, 8_000_000), (7_000_000, 6_000_000)),
        "neither": SessionBytes(1_000_000, 2_000_000, (5_000_000,), (1_000_000,)),
    }
    memory = SessionMemory(machine=record_machine(), batch_shape=(4, 1), results=results, method="how")
    chart = session_memory_chart(memory, TALL)
    points = [line for line in chart.figure.axes[0].lines if line.get_marker() in "os"]
    assert [list(line.get_xdata()) for line in points] == [[9.0, 5.0], [6.0, 1.0]]
    assert "default 9.00 MB and 6.00 MB; neither 5.00 MB and 1.00 MB" in str(chart)


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        ("size", "File size: onnxruntime fp32 4.00, openvino int8 1.50, tensorrt_rtx_sm89 fp16 2.50."),
        ("build", "Seconds to build: onnxruntime fp32 0.0200, openvino int8 0.500, tensorrt_rtx_sm89 fp16."),
    ],
)  # fmt: skip
def test_each_figure_of_a_table_is_drawn(report: CompileReport, drawn: str, expected: str) -> None:
    assert str(cells_chart(report, drawn)).startswith(expected[:-1])


def test_equal_outputs_have_a_place_on_the_logarithmic_axis(report: CompileReport) -> None:
    chart = cells_chart(report, "parity", TALL)
    drawn = np.concatenate([line.get_xdata() for line in chart.figure.axes[0].lines])
    assert sorted(drawn) == [EQUAL, 0.25]
    assert "tensorrt" not in str(chart)  # nobody knows: it does not run here


def test_a_form_that_is_missing_has_no_bar() -> None:
    counts = {"a_net": {"file": 37, "ONNX Runtime": 16, "TensorRT": 12}, "other": {"file": 45}}
    chart = launches_chart(counts)
    labels = [text.get_text() for text in chart.figure.axes[0].texts]
    assert sorted(labels) == ["", "", "12", "16", "37", "45"]
    assert str(chart) == "Operators or kernels. a_net: file 37, ONNX Runtime 16, TensorRT 12; other: file 45."
