"""Cells of the compilation table whose compiled files come from the engine cache.

The compile command builds anew every time, and shows what that costs. A board that is opened again, or asks
for one more target, builds only what was never built on this machine.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

from course_lib.benchmarking.size import measure_size
from course_lib.pipelines.compile_cell import CellMaker
from course_lib.pipelines.compile_report import CompiledCell
from course_lib.pipelines.model_forms import ModelForms
from course_lib.runtimes.compilation import Compiler, Precision
from course_lib.runtimes.engine_cache import Engine, EngineCache
from course_lib.runtimes.engine_record import RECORD

READ_BACK = 4
"""Calls that a file which cannot run here is computed for."""


@dataclass
class CachedCellMaker(CellMaker):
    """Makes cells as `CellMaker` does, but with compiled files of a cache.

    Parameters
    ----------
    cache
        Where compiled files are found, or put once they are built.

    Attributes
    ----------
    engine
        What the cache gave for the last cell, or None if that was not built.
    """

    cache: EngineCache = field(default_factory=EngineCache)
    engine: Engine | None = field(default=None, init=False)

    def make(self, target: str, precision: Precision) -> CompiledCell:
        """Return a cell, whatever happens while it is made; ``build_s`` is None where nothing was built."""
        self.engine = None
        return super().make(target, precision)

    def _build(self, cell: CompiledCell, compiler: Compiler) -> tuple[CompiledCell, Path]:
        engine = self.cache.find_or_build(compiler, self.forms.model, cell.precision)
        self.engine = engine
        entry = self.cache.folder / engine.key
        built = replace(
            cell,
            built=True,
            version=compiler.version(),
            build_s=engine.seconds if engine.built else None,
            size_bytes=measure_size(entry).size_bytes - (entry / RECORD).stat().st_size,
        )
        return built, engine.path

    def _read_back(self, cell: CompiledCell, path: Path) -> CompiledCell:
        """Compute a Core ML file's own operations on a few inputs only: they take a second each."""
        if self.forms.reference is None:
            return cell
        all_forms, count = self.forms, READ_BACK * len(self.forms.model.example_inputs)
        self.forms = replace(
            all_forms, inputs=all_forms.inputs[:count], reference=self.forms.reference[:count]
        )
        try:
            return super()._read_back(cell, path)
        finally:
            self.forms = all_forms


def cached_cells(
    forms: ModelForms, cache: EngineCache, *, threads: int = 1, runs: int = 100
) -> CachedCellMaker:
    """Return what makes the cells of one model, timed over ``runs`` rounds."""
    return CachedCellMaker(
        forms=forms, folder=cache.folder, keep=False, threads=threads, runs=runs, cache=cache
    )
