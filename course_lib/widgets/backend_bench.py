"""Where the backend board's cells are worked on: by the functions of the compile command.

`course_lib.explore.backend_board` orders the work and `course_lib.pipelines` does it; neither may know the
other, so that they meet here. PyTorch and the compilers are imported with the first cell that needs them.
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from course_lib.errors import CourseError, SettingError
from course_lib.explore.backend_board import ROUNDS, sentence_of
from course_lib.explore.backend_cell import Cell, CellResult, Outcome, difference_text
from course_lib.pipelines.compile_targets import TARGETS
from course_lib.runtimes.compilation import refuse_precision
from course_lib.runtimes.engine_cache import EngineCache
from course_lib.runtimes.protocol import Array

if TYPE_CHECKING:
    from course_lib.pipelines.cached_cells import CachedCellMaker
    from course_lib.pipelines.compile_report import CompiledCell
    from course_lib.pipelines.model_forms import Source


@dataclass
class BackendBench:
    """Compiles, compares and times cells through the engine cache.

    Parameters
    ----------
    sources
        Name on the board → what `prepare_forms` takes.
    shape, calibration
        As in `prepare_forms`, for the modules among them.
    cache
        Of compiled files.
    threads
        Of the latency comparisons.
    """

    sources: "Mapping[str, Source]"
    shape: Sequence[int] | None = None
    calibration: Array | None = field(default=None, repr=False)
    cache: EngineCache = field(default_factory=EngineCache)
    threads: int = 1

    def __post_init__(self) -> None:
        self._makers: dict[str, CachedCellMaker] = {}
        self._unprepared: dict[str, str] = {}

    def known(self, cell: Cell) -> CellResult | None:
        """Return the cell if its compiler is missing or lacks the precision, which takes no work to tell."""
        compiler = TARGETS[cell.target]()
        missing = compiler.why_unavailable()
        if missing is not None:
            return CellResult(cell=cell, outcome="missing", why=missing)
        try:
            refuse_precision(compiler, cell.precision)
        except SettingError as error:
            return CellResult(cell=cell, outcome="refused", why=str(error))
        return None

    def measure(self, cell: Cell, rounds: int = ROUNDS) -> CellResult:
        """Find or build the cell's files, compare outputs, and time it in turns with ONNX Runtime fp32."""
        told = self.known(cell)
        if told is not None:
            return told
        maker = self._maker(cell.model)
        if maker is None:
            return CellResult(cell=cell, outcome="refused", why=self._unprepared[cell.model])
        maker.runs = rounds
        made = maker.make(cell.target, cell.precision)
        found = [f"Compiled files: {maker.engine}."] if maker.engine else []
        if made.read_back_absolute is not None:
            found.append(
                "Its operations, computed one by one in PyTorch for a few inputs, differ from the original's "
                f"outputs by {difference_text(made.read_back_absolute)} at most."
            )
        return _result_of(cell, made, rounds, (*found, *maker.forms.notes))

    def tell(self, cell: Cell) -> tuple[str, ...]:
        """Return what the target's compiler can tell about a cell: for TensorRT, the kernels of the engine.

        The model is compiled once more for it, as a found engine comes without its log.
        """
        from course_lib.runtimes.tensorrt import TensorRt

        compiler, maker = TARGETS[cell.target](), self._makers.get(cell.model)
        if not isinstance(compiler, TensorRt) or maker is None:
            return ()
        try:
            layers = compiler.build(maker.forms.model.onnx(cell.precision, "tensorrt")).layers
        except CourseError as error:
            return (str(error),)
        nodes = sum(len(layer.onnx_nodes) for layer in layers)
        return (
            f"{len(layers)} kernels for {nodes} ONNX nodes:",
            *(f"{layer.name} ({layer.kind}): {', '.join(layer.onnx_nodes) or 'its own'}" for layer in layers),
        )

    def command(self, cell: Cell) -> str:
        """Return the command line that does the same, or Python for a module, which has none."""
        source = self.sources[cell.model]
        if not isinstance(source, str | Path):
            return f'compile_model({self.literal(cell.model)}, ["{cell.target}"], ["{cell.precision}"])'
        threads = f" --threads {self.threads}" if self.threads != 1 else ""
        return (
            f"python -m course_lib.pipelines.compile {shlex.quote(str(source))} "
            f"--targets {cell.target} --precisions {cell.precision}{threads}"
        )

    def literal(self, name: str) -> str:
        """Return a network as Python; a module of one's own has to be at hand there as ``model``."""
        source = self.sources[name]
        if isinstance(source, str | Path):
            return repr(str(source))
        given = f"shape={tuple(self.shape)}" if self.shape is not None else "calibration=inputs"
        return f"prepare_forms(model, {given})"

    def _maker(self, name: str) -> "CachedCellMaker | None":
        """Return what makes a network's cells, or None where the network cannot be prepared."""
        if name not in self._makers and name not in self._unprepared:
            from course_lib.pipelines.cached_cells import cached_cells
            from course_lib.pipelines.model_forms import prepare_forms

            source = self.sources[name]
            own = not isinstance(source, str)
            try:
                forms = prepare_forms(
                    source,
                    shape=self.shape if own else None,
                    calibration=self.calibration if own else None,
                )
            except Exception as error:  # whatever a student's model raises; the other networks go on
                self._unprepared[name] = sentence_of(error)
            else:
                self._makers[name] = cached_cells(forms, self.cache, threads=self.threads)
        return self._makers.get(name)


def _result_of(cell: Cell, made: "CompiledCell", rounds: int, messages: Sequence[str]) -> CellResult:
    """Return a cell of the compilation table as the board's."""
    outcome: Outcome = "ran"
    if not made.installed:
        outcome = "missing"
    elif not made.built:
        outcome = "refused"
    elif made.p50_ms is None:
        outcome = "built"
    return CellResult(
        cell=cell,
        outcome=outcome,
        why=made.why_not or "",
        version=made.version,
        size_bytes=made.size_bytes,
        max_absolute=made.max_absolute,
        argmax_agreement=made.argmax_agreement,
        p50_ms=made.p50_ms,
        ratio=made.ratio,
        rounds=rounds if made.p50_ms is not None else 0,
        messages=tuple(messages),
    )
