"""The compilation table: one row for each target and precision, with everything that a choice needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from course_lib.benchmarking.compare import Ratio
from course_lib.benchmarking.number_text import format_bytes, significant
from course_lib.benchmarking.table import MeasuredResult, Row
from course_lib.runtimes.compilation import Precision

BASELINE = ("onnxruntime", "fp32")


@dataclass(frozen=True, kw_only=True)
class CompiledCell:
    """One target in one precision.

    Parameters
    ----------
    why_not
        One sentence if it was not built or does not run here, otherwise None.
    offered
        Whether the target builds this precision at all.
    installed
        Whether its compiler is installed here.
    version
        Of the compiler.
    build_s
        Seconds of compiling, the ONNX form that it starts from not counted.
    size_bytes
        Of all files that belong to it.
    max_absolute, argmax_agreement
        Worst absolute difference from the original's outputs, and the fraction of equal predictions; None
        where it does not run here or the original could not be run.
    read_back_absolute
        The same difference of a file that does not run here, read back and computed by PyTorch (Core ML): it
        proves the conversion and the file, not the target's kernels.
    p50_ms, ratio
        Median latency of one batch, and its ratio to ONNX Runtime's in fp32 from the same rounds; no ratio
        where that does not run the model.
    path
        Where the compiled file was kept, if it was.
    """

    target: str
    precision: Precision
    built: bool
    why_not: str | None = None
    offered: bool = True
    installed: bool = True
    version: str | None = None
    build_s: float | None = None
    size_bytes: int | None = None
    max_absolute: float | None = None
    argmax_agreement: float | None = None
    read_back_absolute: float | None = None
    p50_ms: float | None = None
    ratio: Ratio | None = None
    path: str | None = None


@dataclass(frozen=True, kw_only=True)
class CompileReport(MeasuredResult):
    """What became of a model on every target.

    Parameters
    ----------
    batch, input_shape
        Of one call.
    cells
        In the order in which they were tried.
    remarks
        Sentences about weights and inputs.
    unfinished
        How many cells were left out because somebody interrupted.
    """

    model: str
    batch: int
    input_shape: tuple[int, ...]
    cells: tuple[CompiledCell, ...]
    remarks: tuple[str, ...] = ()
    unfinished: int = 0
    derived: ClassVar[tuple[str, ...]] = ("built_fraction", "parity_max")

    @property
    def built_fraction(self) -> float | None:
        """The fraction of the cells that were built, of those whose target offers the precision."""
        return built_fraction(self.cells)

    @property
    def parity_max(self) -> float | None:
        """The worst absolute difference of the fp32 cells that run here."""
        return parity_max(self.cells)

    def table_rows(self) -> list[Row]:
        reasons = self._reasons()
        return [_row(cell, reasons) for cell in self.cells] or [{"target": "none"}]

    def notes(self) -> list[str]:
        sentences = [f"{number}: {sentence}" for sentence, number in self._reasons().items()]
        if self.unfinished:
            sentences.append(f"Interrupted: {self.unfinished} cells were not tried, and these are done.")
        about = (
            f"{self.model}, input {'×'.join(map(str, self.input_shape))}: parity is the worst absolute "
            "difference from the original in float32; the ratio to onnxruntime fp32 is from interleaved "
            "rounds, with its 95 % interval."
        )
        if any(cell.p50_ms is not None and cell.ratio is None for cell in self.cells):
            about += " No ratio: onnxruntime fp32 does not run this model."
        if any(cell.read_back_absolute is not None for cell in self.cells):
            about += (
                " Read back: the written file, computed by PyTorch; that checks the conversion and not the "
                "target's kernels."
            )
        return [*sentences, *self.remarks, about, *super().notes()]

    def _reasons(self) -> dict[str, int]:
        """Return sentence → number, each sentence once."""
        said = dict.fromkeys(cell.why_not for cell in self.cells if cell.why_not)
        return {sentence: number for number, sentence in enumerate(said, start=1)}


def built_fraction(cells: Sequence[CompiledCell]) -> float | None:
    """Return the fraction of built cells among those whose target offers the precision, or None."""
    offered = [cell for cell in cells if cell.offered]
    return sum(cell.built for cell in offered) / len(offered) if offered else None


def parity_max(cells: Sequence[CompiledCell]) -> float | None:
    """Return the worst absolute difference of the fp32 cells that run here, or None."""
    found = [cell.max_absolute for cell in cells if cell.precision == "fp32"]
    return max((value for value in found if value is not None), default=None)


def _row(cell: CompiledCell, reasons: dict[str, int]) -> Row:
    return {
        "target": cell.target,
        "precision": cell.precision,
        "built": "yes" if cell.built else "no" if cell.installed else "not installed",
        "parity": _parity_text(cell),
        "argmax equal": "–" if cell.argmax_agreement is None else f"{cell.argmax_agreement:.1%}",
        "size": "–" if cell.size_bytes is None else format_bytes(cell.size_bytes),
        "build s": "–" if cell.build_s is None else significant(cell.build_s),
        "p50 ms": "–" if cell.p50_ms is None else significant(cell.p50_ms),
        "ratio": _ratio_text(cell),
        "why not": f"see {reasons[cell.why_not]}" if cell.why_not else "",
    }


def _parity_text(cell: CompiledCell) -> str:
    if cell.max_absolute is not None:
        return f"{cell.max_absolute:.1e}"
    return "–" if cell.read_back_absolute is None else f"{cell.read_back_absolute:.1e} (read back)"


def _ratio_text(cell: CompiledCell) -> str:
    if cell.ratio is None:
        return "–"
    if (cell.target, cell.precision) == BASELINE:
        return "1 (baseline)"
    return f"{significant(cell.ratio.value)} ({cell.ratio.interval.text()})"
