"""The compile command: every cell tried, failures left behind, interruptions kept, a table and a report."""

import json
from pathlib import Path

import pytest

from course_lib.errors import ModelError, SettingError, UnknownNameError
from course_lib.pipelines.compile import TARGETS, compile_model, main
from course_lib.pipelines.compile_report import CompileReport
from course_lib.pipelines.model_forms import prepare_forms
from tests.pipelines.small_onnx import calibration, write_for_others, write_small_onnx
from tests.pipelines.test_compile_cell import Faulty


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_small_onnx(tmp_path / "small.onnx")


@pytest.fixture(autouse=True)
def targets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave ONNX Runtime, one compiler that fails and one that is not installed."""
    monkeypatch.setitem(TARGETS, "failing", lambda: Faulty(error=ModelError("It has no Loop.")))
    monkeypatch.setitem(TARGETS, "missing", lambda: Faulty(missing="install it with: make compilers"))
    for name in set(TARGETS) - {"onnxruntime", "failing", "missing"}:
        monkeypatch.delitem(TARGETS, name)


def test_the_others_go_on_when_one_fails(small: Path) -> None:
    started: list[str] = []
    seen: list[CompileReport] = []
    report = compile_model(
        prepare_forms(small, calibration=calibration()),
        ("failing", "onnxruntime", "missing"),
        ("fp32", "int8"),
        runs=6,
        on_start=lambda target, precision: started.append(f"{target} {precision}"),
        on_cell=seen.append,
    )
    assert [f"{cell.target} {cell.precision}" for cell in report.cells] == started
    assert [cell.built for cell in report.cells] == [False, False, True, True, False, False]
    assert report.unfinished == 0
    assert seen[-1] == report
    assert [len(each.cells) for each in seen] == [1, 2, 3, 4, 5, 6]
    assert [each.unfinished for each in seen] == [5, 4, 3, 2, 1, 0]
    assert report.parity_max is not None
    assert report.parity_max < 1e-4
    assert all(cell.path is None for cell in report.cells)


def test_the_others_go_on_when_onnx_runtime_cannot_load_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(TARGETS, "away", lambda: Faulty(elsewhere="It runs on macOS."))  # type: ignore[arg-type,return-value]
    path = write_for_others(tmp_path / "new.onnx", opset=99)
    assert main([str(path), "--targets", "onnxruntime,away", "--precisions", "fp32", "--runs", "6"]) == 0
    printed = capsys.readouterr().out
    assert "| onnxruntime | fp32      | no " in printed
    assert "| away        | fp32      | yes " in printed
    assert "is written in opset 99, and this ONNX Runtime understands opsets up to" in printed
    assert "Outputs could not be compared, and latencies have no ratio, because ONNX Runtime" in printed


def test_an_interruption_keeps_what_is_done(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TARGETS, "failing", lambda: Faulty(error=KeyboardInterrupt()))
    report = compile_model(small, ("onnxruntime", "failing", "missing"), ("fp32",), runs=6)
    assert [cell.target for cell in report.cells] == ["onnxruntime"]
    assert report.unfinished == 2
    assert "Interrupted: 2 cells were not tried" in str(report)


def test_bad_settings_are_refused_before_anything_is_built(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.onnx"
    with pytest.raises(UnknownNameError, match=r"no target called 'onnxruntim'.*'onnxruntime'"):
        compile_model(nothing, ("onnxruntim",))
    with pytest.raises(UnknownNameError, match="no precision called 'fp8'"):
        compile_model(nothing, precisions=("fp8",))  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="threads must be a whole number of at least 1"):
        compile_model(nothing, threads=0)
    with pytest.raises(SettingError, match="runs"):
        compile_model(nothing, runs=5)
    with pytest.raises(ModelError, match="There is no ONNX file"):
        compile_model(nothing)


def test_the_command_prints_the_table_and_writes_the_report(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, out = tmp_path / "report.json", tmp_path / "out"
    arguments = [str(small), "--precisions", "fp32", "--runs", "6", "--json", str(report), "--out", str(out)]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert "| onnxruntime | fp32      | yes " in printed.out
    assert "1: It has no Loop." in printed.out
    assert "2: install it with: make compilers" in printed.out
    assert "onnxruntime fp32" in printed.err  # the progress bar
    found = json.loads(report.read_text())
    assert [cell["built"] for cell in found["cells"]] == [True, False, False]
    assert found["model"] == "small"
    assert (out / "onnxruntime_fp32" / "small.onnx").is_file()
    assert [path.name for path in out.iterdir()] == ["onnxruntime_fp32"]


def test_exit_statuses(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ["--precisions", "fp32", "--runs", "6"]
    assert main([str(small), "--targets", "failing", *quick]) == 1
    assert main(["nothing.onnx", *quick]) == 1
    assert "There is no ONNX file at nothing.onnx" in capsys.readouterr().err
    assert main([str(small), "--targets", "faling", *quick]) == 1
    assert "Did you mean 'failing'?" in capsys.readouterr().err
    monkeypatch.setitem(TARGETS, "failing", lambda: Faulty(error=KeyboardInterrupt()))
    assert main([str(small), "--targets", "onnxruntime,failing", *quick]) == 130
    assert "Interrupted: 1 cell" in capsys.readouterr().out


def test_a_report_that_cannot_be_written_is_one_sentence(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "report.json"
    assert main([str(small), "--targets", "failing", "--precisions", "fp32", "--json", str(place)]) == 1
    assert f"The report {place} could not be written (" in capsys.readouterr().err
