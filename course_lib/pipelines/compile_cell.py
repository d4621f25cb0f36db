"""One cell of the compilation table: build with a target's compiler, load it, compare outputs, and time it.

Whatever goes wrong becomes a sentence in the cell, so that the other cells are made all the same. The seconds
of building leave out the export and the quantization of the ONNX form that a compiler starts from: that is
done once for all targets.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from shutil import rmtree

from course_lib.benchmarking.compare import compare_latency
from course_lib.benchmarking.size import measure_size
from course_lib.errors import CourseError, ExportError, MissingPackageError, ModelError, SettingError
from course_lib.export.onnx_graph import first_line
from course_lib.export.parity import compare_outputs
from course_lib.pipelines.compile_report import BASELINE, CompiledCell
from course_lib.pipelines.compile_targets import TARGETS
from course_lib.pipelines.model_forms import ModelForms, run_in_batches
from course_lib.runtimes.compilation import Compiler, Precision, refuse_precision
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from course_lib.runtimes.protocol import Array, LoadedModel


@dataclass
class CellMaker:
    """Makes one cell of the table after the other.

    Parameters
    ----------
    folder, keep
        Where compiled files go, and whether they stay there.
    threads, runs
        Of the latency comparisons.
    """

    forms: ModelForms
    folder: Path
    keep: bool
    threads: int
    runs: int

    def make(self, target: str, precision: Precision) -> CompiledCell:
        """Return a cell, whatever happens while it is made."""
        cell = CompiledCell(target=target, precision=precision, built=False)
        try:
            compiler = TARGETS[target]()
            missing = compiler.why_unavailable()
            if missing:
                offered = precision in compiler.precisions
                return replace(cell, installed=False, offered=offered, why_not=missing)
            try:
                refuse_precision(compiler, precision)
            except SettingError as error:
                return replace(cell, offered=False, why_not=str(error))
            cell, path = self._build(cell, compiler)
            not_here = compiler.why_not_run()
            if not_here:
                return self._read_back(replace(cell, why_not=not_here), path)
            loaded = compiler.load(path, threads=self.threads)
            return self._time(self._compare(cell, loaded), loaded)
        except MissingPackageError as error:
            return replace(cell, installed=False, why_not=str(error))
        except CourseError as error:
            return replace(cell, why_not=str(error))
        except OSError as error:
            reason = error.strerror or first_line(error)
            return replace(cell, why_not=f"{target} could not write its files ({reason}); free some space.")
        except Exception as error:  # one of many compilers; the others shall go on
            return replace(cell, why_not=f"{target} failed ({type(error).__name__}: {first_line(error)}).")

    def _build(self, cell: CompiledCell, compiler: Compiler) -> tuple[CompiledCell, Path]:
        place = self.folder / f"{cell.target}_{cell.precision}"
        rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        done = False
        try:
            timed = _TimedForms(self.forms.model.onnx)
            model = replace(self.forms.model, onnx=timed)
            start = time.perf_counter()
            path = compiler.compile(model, place / f"{model.name}{compiler.suffix}", cell.precision)
            build_s = time.perf_counter() - start - timed.seconds
            done = True
        finally:
            if not done:
                rmtree(place, ignore_errors=True)
        built = replace(
            cell,
            built=True,
            version=compiler.version(),
            build_s=build_s,
            size_bytes=measure_size(place).size_bytes,
            path=str(path) if self.keep else None,
        )
        return built, path

    def _compare(self, cell: CompiledCell, loaded: LoadedModel) -> CompiledCell:
        if self.forms.reference is None:
            return cell
        batch = len(self.forms.model.example_inputs)
        found = run_in_batches(loaded, self.forms.inputs, batch)
        parity = compare_outputs(self.forms.reference, found)
        return replace(cell, max_absolute=parity.max_absolute, argmax_agreement=parity.argmax_agreement)

    def _read_back(self, cell: CompiledCell, path: Path) -> CompiledCell:
        if cell.target != "coreml" or self.forms.reference is None:
            return cell
        from course_lib.runtimes.coreml_reference import load_reference

        found = self._compare(cell, load_reference(path))
        return replace(cell, read_back_absolute=found.max_absolute)

    def _time(self, cell: CompiledCell, loaded: LoadedModel) -> CompiledCell:
        name, original = f"{cell.target} {cell.precision}", self._baseline
        baseline = " ".join(BASELINE) if original is not None else name
        batch: Array = self.forms.model.example_inputs
        calls: dict[str, Callable[[], object]] = {name: partial(loaded.run, batch)}
        if original is not None:
            calls[baseline] = partial(original.run, batch)
        compared = compare_latency(
            calls, baseline=baseline, runs=self.runs, items_per_call=len(batch), threads=self.threads
        )
        ratio = compared.ratios[name] if original is not None else None
        return replace(cell, p50_ms=compared.results[name].p50_ms, ratio=ratio)

    @cached_property
    def _baseline(self) -> LoadedModel | None:
        """ONNX Runtime in fp32, loaded once; None where it cannot run the model, as its own cell says."""
        try:
            loaded = OnnxRuntime().load(self.forms.model.onnx("fp32", "onnxruntime"), threads=self.threads)
            loaded.run(self.forms.model.example_inputs)
        except (ModelError, ExportError):
            return None
        return loaded


@dataclass
class _TimedForms:
    """A model's ``onnx`` function that adds up the seconds it takes."""

    source: Callable[[Precision, str], bytes]
    seconds: float = 0.0

    def __call__(self, precision: Precision, rules: str) -> bytes:
        start = time.perf_counter()
        try:
            return self.source(precision, rules)
        finally:
            self.seconds += time.perf_counter() - start
