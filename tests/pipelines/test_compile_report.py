"""The compilation table: its rows, its numbered reasons, its two figures, and strict JSON."""

import json
from dataclasses import replace

import pytest

from course_lib.benchmarking.compare import Ratio
from course_lib.benchmarking.intervals import Interval
from course_lib.benchmarking.machine import record_machine
from course_lib.pipelines.compile_report import CompiledCell, CompileReport, built_fraction, parity_max

RAN = CompiledCell(
    target="openvino",
    precision="fp32",
    built=True,
    version="1.0",
    build_s=0.5,
    size_bytes=91_900,
    max_absolute=2e-6,
    argmax_agreement=0.984375,
    p50_ms=0.25,
    ratio=Ratio(1.25, Interval(1.2, 1.3, 0.95)),
)
ONNX = replace(RAN, target="onnxruntime", max_absolute=1e-6, ratio=Ratio(1.0, Interval(1.0, 1.0, 0.95)))
AWAY = CompiledCell(target="coreml", precision="fp16", built=True, why_not="It runs on macOS.", size_bytes=10)
FAILED = CompiledCell(target="litert", precision="int8", built=False, why_not="It has no such operator.")
LACKING = replace(FAILED, precision="fp16", offered=False, why_not="litert does not build fp16.")
MISSING = replace(FAILED, target="tensorrt", installed=False, why_not="install it with: pip install tensorrt")
CELLS = (ONNX, RAN, AWAY, FAILED, LACKING, MISSING, replace(AWAY, precision="fp32"))


@pytest.fixture
def report() -> CompileReport:
    return CompileReport(
        machine=record_machine(),
        model="net",
        batch=1,
        input_shape=(1, 1, 28, 28),
        cells=CELLS,
        remarks=("The weights are random.",),
    )


def test_a_row_by_hand(report: CompileReport) -> None:
    assert report.table_rows()[1] == {
        "target": "openvino",
        "precision": "fp32",
        "built": "yes",
        "parity": "2.0e-06",
        "argmax equal": "98.4%",
        "size": "91.9 kB",
        "build s": "0.500",
        "p50 ms": "0.250",
        "ratio": "1.25 (1.20–1.30)",
        "why not": "",
    }


def test_what_stands_in_the_other_rows(report: CompileReport) -> None:
    rows = report.table_rows()
    assert rows[0]["ratio"] == "1 (baseline)"
    assert [row["built"] for row in rows] == ["yes", "yes", "yes", "no", "no", "not installed", "yes"]
    assert [row["why not"] for row in rows] == ["", "", "see 1", "see 2", "see 3", "see 4", "see 1"]
    assert rows[2]["parity"] == rows[2]["p50 ms"] == rows[2]["ratio"] == "–"


def test_each_reason_is_said_once_under_the_table(report: CompileReport) -> None:
    text = str(report)
    assert text.count("1: It runs on macOS.") == 1
    assert "\n4: install it with: pip install tensorrt\n" in text
    assert "The weights are random." in text
    assert "Interrupted" not in text
    assert "Interrupted: 3 cells were not tried" in str(replace(report, unfinished=3))
    assert "<td>see 4</td>" in report._repr_html_()


def test_a_precision_that_is_not_offered_does_not_count_as_a_failure() -> None:
    assert built_fraction(CELLS) == pytest.approx(4 / 6)
    assert built_fraction((LACKING,)) is None


def test_a_file_that_was_read_back_is_no_run(report: CompileReport) -> None:
    assert "Read back" not in str(report)
    read = replace(report, cells=(replace(AWAY, precision="fp32", read_back_absolute=3e-6),))
    assert read.table_rows()[0]["parity"] == "3.0e-06 (read back)"
    assert "Read back: the written file, computed by PyTorch" in str(read)
    assert read.parity_max is None


def test_without_a_baseline_there_is_no_ratio(report: CompileReport) -> None:
    sentence = "No ratio: onnxruntime fp32 does not run this model."
    assert sentence not in str(report)
    alone = replace(RAN, max_absolute=None, argmax_agreement=None, ratio=None)
    found = replace(report, cells=(alone,))
    assert sentence in str(found)
    row = found.table_rows()[0]
    assert (row["parity"], row["argmax equal"], row["p50 ms"], row["ratio"]) == ("–", "–", "0.250", "–")
    assert (found.parity_max, found.built_fraction) == (None, 1)


def test_only_fp32_counts_for_parity() -> None:
    assert parity_max(CELLS) == 2e-6
    assert parity_max((replace(RAN, precision="fp16"),)) is None


def test_the_report_is_strict_json(report: CompileReport) -> None:
    found = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert found["built_fraction"] == pytest.approx(4 / 6)
    assert found["parity_max"] == 2e-6
    assert found["cells"][1]["ratio"]["interval"] == {"low": 1.2, "high": 1.3, "confidence": 0.95}
    assert found["cells"][3]["why_not"] == "It has no such operator."


def test_a_report_without_cells_prints(report: CompileReport) -> None:
    assert "none" in str(replace(report, cells=(), unfinished=9))
