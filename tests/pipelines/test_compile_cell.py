"""One cell: built, compared and timed; and whatever a compiler does wrong becomes one sentence."""

import errno
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from course_lib.errors import ExportError, MissingPackageError, ModelError
from course_lib.pipelines.compile_cell import CellMaker
from course_lib.pipelines.compile_report import CompiledCell
from course_lib.pipelines.compile_targets import TARGETS
from course_lib.pipelines.model_forms import prepare_forms
from course_lib.runtimes.compilation import ModelToCompile, Precision
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from course_lib.runtimes.protocol import ModelSource
from tests.pipelines.small_onnx import calibration, write_for_others, write_small_onnx
from tests.runtimes.file_compiler import FileCompiler
from tests.runtimes.optional import needs


@dataclass(frozen=True)
class Faulty(FileCompiler):
    """Raises an error after having written something, or says that it is missing or runs elsewhere."""

    error: BaseException | None = field(default=None)
    missing: str | None = None
    elsewhere: str | None = None

    def why_unavailable(self) -> str | None:
        return self.missing

    def why_not_run(self) -> str | None:
        return self.elsewhere

    def compile(self, model: ModelToCompile, path: Path, precision: Precision = "fp32") -> Path:
        super().compile(model, path, precision)
        if self.error is not None:
            raise self.error
        return path


@dataclass(frozen=True)
class Wrong(OnnxRuntime):
    """Loads a model that gives outputs of another shape."""

    def load(self, source: ModelSource, *, threads: int = 1):  # type: ignore[no-untyped-def]
        loaded = super().load(source, threads=threads)

        class Cut:
            def run(self, batch: np.ndarray) -> np.ndarray:
                return loaded.run(batch)[:, :1]

        return Cut()


@pytest.fixture
def maker(tmp_path: Path) -> CellMaker:
    forms = prepare_forms(write_small_onnx(tmp_path / "small.onnx"), calibration=calibration())
    return CellMaker(forms, tmp_path / "out", keep=True, threads=1, runs=6)


@pytest.fixture
def maker_for_others(tmp_path: Path) -> CellMaker:
    """Of a file that OpenVINO takes and ONNX Runtime does not."""
    path = write_for_others(tmp_path / "others.onnx", operator="org.openvinotoolkit:Swish")
    forms = prepare_forms(path, calibration=calibration())
    return CellMaker(forms, tmp_path / "out", keep=True, threads=1, runs=6)


def make(
    maker: CellMaker, monkeypatch: pytest.MonkeyPatch, compiler: FileCompiler | OnnxRuntime
) -> CompiledCell:
    monkeypatch.setitem(TARGETS, "files", lambda: compiler)  # type: ignore[arg-type,return-value]
    return maker.make("files", "fp32")


@pytest.mark.parametrize(("precision", "worst"), [("fp32", 1e-4), ("fp16", 0.5), ("int8", 20.0)])
def test_a_cell_of_onnx_runtime(maker: CellMaker, precision: Precision, worst: float) -> None:
    cell = maker.make("onnxruntime", precision)
    assert cell.why_not is None
    assert cell.built
    assert cell.max_absolute is not None
    assert cell.max_absolute < worst
    assert cell.argmax_agreement is not None
    assert cell.argmax_agreement > 0.7
    assert cell.p50_ms is not None
    assert cell.p50_ms > 0
    assert cell.ratio is not None
    assert (cell.ratio.value == 1) == (precision == "fp32")
    assert cell.path is not None
    assert cell.size_bytes == Path(cell.path).stat().st_size
    assert Path(cell.path).parent.name == f"onnxruntime_{precision}"
    assert cell.version
    assert cell.build_s is not None
    assert cell.build_s >= 0


def test_all_files_of_a_build_count(maker: CellMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = make(maker, monkeypatch, Faulty(elsewhere="It runs on macOS."))
    assert (cell.built, cell.why_not) == (True, "It runs on macOS.")
    assert cell.max_absolute is cell.p50_ms is cell.ratio is None
    assert cell.size_bytes == len(maker.forms.model.onnx("fp32", "tensorrt")) + len('[1, "fp32"]')


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            ModelError("The operator Loop of the node l is not taken by files."),
            "The operator Loop of the node l is",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "files could not write its files (No space left on",
        ),
        (RuntimeError("bad\nthings"), "files failed (RuntimeError: bad)."),
        (MemoryError(), "files failed (MemoryError: MemoryError)."),
    ],
)
def test_an_error_is_one_sentence_and_leaves_no_files(
    maker: CellMaker, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    cell = make(maker, monkeypatch, Faulty(error=error))
    assert not cell.built
    assert cell.why_not is not None
    assert cell.why_not.startswith(sentence)
    assert cell.installed
    assert not (maker.folder / "files_fp32").exists()


def test_a_missing_package_is_told_from_a_failure(maker: CellMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    error = MissingPackageError("files", "write files", "make compilers")
    for compiler in (Faulty(missing=str(error)), Faulty(error=error)):
        cell = make(maker, monkeypatch, compiler)
        assert not cell.installed
        assert cell.why_not == "files is needed to write files; install it with: make compilers"


def test_a_precision_that_the_target_lacks(maker: CellMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TARGETS, "files", FileCompiler)  # type: ignore[arg-type]
    cell = maker.make("files", "fp16")
    assert (cell.offered, cell.built) == (False, False)
    assert cell.why_not == "files does not build fp16; it builds fp32, int8."


def test_other_outputs_are_said_of_a_file_that_was_built(
    maker: CellMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = make(maker, monkeypatch, Wrong())
    assert cell.built
    assert cell.why_not is not None
    assert cell.why_not.startswith("The reference's output has shape (8, 3) and the candidate's (8, 1)")


@dataclass(frozen=True)
class Elsewhere(FileCompiler):
    """Runs what it built without ONNX Runtime."""

    def load(self, source: ModelSource, *, threads: int = 1):  # type: ignore[no-untyped-def]
        class Sums:
            def run(self, batch: np.ndarray) -> np.ndarray:
                return batch.sum((2, 3))

        return Sums()


def test_without_a_reference_a_cell_is_built_and_timed(
    maker_for_others: CellMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = make(maker_for_others, monkeypatch, Elsewhere())
    assert (cell.built, cell.why_not) == (True, None)
    assert cell.size_bytes
    assert cell.p50_ms is not None
    assert cell.p50_ms > 0
    assert cell.max_absolute is cell.argmax_agreement is cell.ratio is None


def test_onnx_runtime_says_in_its_own_cell_why_it_has_none(maker_for_others: CellMaker) -> None:
    cell = maker_for_others.make("onnxruntime", "fp32")
    assert (cell.built, cell.p50_ms) == (False, None)
    assert cell.why_not is not None
    assert "uses the operator org.openvinotoolkit:Swish, which ONNX Runtime does not have" in cell.why_not


def test_core_ml_has_nothing_to_be_compared_with_either(
    maker_for_others: CellMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TARGETS, "coreml", lambda: Faulty(elsewhere="It runs on macOS."))  # type: ignore[arg-type,return-value]
    cell = maker_for_others.make("coreml", "fp32")
    assert (cell.built, cell.why_not, cell.read_back_absolute) == (True, "It runs on macOS.", None)


def test_openvino_runs_a_file_of_its_own_operators(maker_for_others: CellMaker) -> None:
    needs("openvino")
    cell = maker_for_others.make("openvino", "fp32")
    assert (cell.built, cell.why_not, cell.ratio) == (True, None, None)
    assert cell.p50_ms is not None


def test_a_module_without_an_onnx_form_has_no_ratio(
    maker: CellMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def refuse(precision: Precision, rules: str) -> bytes:
        asked.append(rules)
        if rules == "tensorrt":
            return b"what the fake compiler writes"
        raise ExportError("It has a loop.")

    maker.forms = replace(maker.forms, model=replace(maker.forms.model, onnx=refuse), reference=None)
    for _ in range(2):
        cell = make(maker, monkeypatch, Elsewhere())
        assert (cell.built, cell.why_not, cell.ratio) == (True, None, None)
    assert asked.count("onnxruntime") == 1  # once for all cells


def test_an_interruption_is_no_failure(maker: CellMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        make(maker, monkeypatch, Faulty(error=KeyboardInterrupt()))
    assert not (maker.folder / "files_fp32").exists()


def test_a_core_ml_file_is_read_back_where_it_does_not_run(
    maker: CellMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = OnnxRuntime("off").load(maker.forms.model.onnx("fp32", "onnxruntime"))

    class Off:
        """Computes what the original computes, plus a quarter."""

        def run(self, batch: np.ndarray) -> np.ndarray:
            return original.run(batch) + np.float32(0.25)

    monkeypatch.setitem(TARGETS, "coreml", lambda: Faulty(elsewhere="It runs on macOS."))  # type: ignore[arg-type,return-value]
    monkeypatch.setattr("course_lib.runtimes.coreml_reference.load_reference", lambda path: Off())
    cell = maker.make("coreml", "fp32")
    assert (cell.built, cell.why_not, cell.max_absolute) == (True, "It runs on macOS.", None)
    assert cell.read_back_absolute == pytest.approx(0.25, abs=1e-5)
