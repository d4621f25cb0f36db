"""The int8 doctor: why a quantized ONNX file is or is not faster here, and whether it runs as simulated.

>>> diagnose("int8.onnx", images, float_model="float32.onnx")       # doctest: +SKIP

The same file runs in several ways: as simulated (each operator as it is written, in floating point), as
deployed (integer kernels in the place of whole groups), and with the two remedies for saturation. All are
compared on the same inputs; the latencies come from interleaved runs. Nothing is estimated.

Left out: other runtimes, files with several inputs or outputs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isinf
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx

from course_lib.benchmarking.compare import LatencyComparison, Ratio, compare_latency
from course_lib.benchmarking.machine import record_machine
from course_lib.benchmarking.number_text import significant
from course_lib.benchmarking.table import MeasuredResult, Row
from course_lib.errors import DataError
from course_lib.pipelines.doctor_file import QuantizedWeight, read_weights, with_unsigned_weights
from course_lib.pipelines.doctor_findings import about_cpu, about_fidelity, about_kernels, about_speed
from course_lib.pipelines.doctor_kernels import Kernel, list_kernels, share_of_macs
from course_lib.quantization.error import sqnr_db
from course_lib.runtimes.onnx_runtime import OnnxModel, OnnxRuntime
from course_lib.runtimes.protocol import Array

FLOAT, SIMULATED, DEPLOYED = "float32", "simulated", "int8"
PRECISE, UNSIGNED = "int8, x64quantprecision", "int8, U8 weights"


@dataclass(frozen=True, kw_only=True)
class Diagnosis(MeasuredResult):
    """What the doctor measured and what follows from it.

    Way of running → figure in two mappings: ``sqnr_float_db`` against the float model (empty without one)
    and ``sqnr_simulated_db`` against the simulation. ``latency`` compares int8 with float32, ``remedies``
    int8 with the remedies, in rounds of their own, for more models in turn leave less in the caches.
    ``kernels`` are those of the file as deployed, and ``findings`` the sentences.
    """

    batch: int
    cpu_flags: tuple[str, ...]
    weights: tuple[QuantizedWeight, ...]
    kernels: tuple[Kernel, ...]
    sqnr_float_db: Mapping[str, float]
    sqnr_simulated_db: Mapping[str, float]
    latency: LatencyComparison
    remedies: LatencyComparison
    findings: tuple[str, ...]
    derived: ClassVar[tuple[str, ...]] = ("ratio", "integer_macs")

    @property
    def ratio(self) -> Ratio | None:
        """The median latency of float32 divided by int8's, above 1 where int8 is faster, or None."""
        return self.latency.ratios.get(FLOAT)

    @property
    def integer_macs(self) -> float:
        """The part of all MACs that integer kernels compute, 0 to 1."""
        return share_of_macs(self.kernels, "integer")

    def table_rows(self) -> list[Row]:
        ways = [FLOAT] * (FLOAT in self.latency.results) + [SIMULATED, DEPLOYED, PRECISE, UNSIGNED]
        return [self._row(way) for way in ways]

    def _row(self, way: str) -> Row:
        result = self.latency.results.get(way) or self.remedies.results.get(way)
        return {
            "runs as": way,
            "SQNR to float32 dB": _decibels(self.sqnr_float_db.get(way)),
            "SQNR to simulated dB": _decibels(self.sqnr_simulated_db.get(way)),
            "p50 ms": "–" if result is None else significant(result.p50_ms),
            "95 % interval": "–" if result is None else result.p50_interval_ms.text(),
            "batch": str(self.batch),
        }

    def notes(self) -> list[str]:
        return [*self.findings, *self.latency.notes()]


def diagnose(
    quantized: Path | str | bytes,
    inputs: Array,
    *,
    float_model: Path | str | bytes | None = None,
    cpu_flags: Sequence[str] | None = None,
    runs: int = 100,
    threads: int = 1,
    seed: int = 0,
) -> Diagnosis:
    """Look at a quantized ONNX file (QuantizeLinear and DequantizeLinear) and at this CPU.

    Parameters
    ----------
    quantized
        The file that `export_qdq` wrote, or its content; any QDQ file with one input and one output.
    inputs
        Real inputs, the batch first. SQNR and latency are those of this batch, so its size matters.
    float_model
        The unquantized model, with the same input and output.
    cpu_flags
        Those of `CPU_FLAGS` that the sentences should assume; this machine's when left out. Figures are
        measured here in either case.
    runs
        Rounds of the latency comparison.
    threads, seed
        As in `compare_latency`.

    Raises
    ------
    ModelError
        If a file is not ONNX, has no QuantizeLinear, or does not take these inputs.
    DataError
        If there are no inputs, or the two models give outputs of different shapes.
    """
    if not isinstance(inputs, np.ndarray) or not len(inputs):
        raise DataError(
            "The doctor needs inputs as a NumPy array with at least one row; pass for example "
            "load_dataset('fashion-mnist', 'train').inputs(slice(32))."
        )
    loaded = _load_all(quantized, float_model, threads)
    weights = read_weights(_graph(quantized))
    outputs = {way: model.run(inputs) for way, model in loaded.items()}
    _check_shapes(outputs)
    calls = {way: partial(model.run, inputs) for way, model in loaded.items()}
    compare = partial(
        compare_latency,
        baseline=DEPLOYED,
        runs=runs,
        items_per_call=len(inputs),
        threads=threads,
        seed=seed,
    )
    latency = compare({way: calls[way] for way in (FLOAT, DEPLOYED) if way in calls})
    remedies = compare({way: calls[way] for way in (DEPLOYED, PRECISE, UNSIGNED)})
    kernels = list_kernels(quantized, inputs, runs=min(runs, 30), threads=threads)
    flags = record_machine().cpu_flags if cpu_flags is None else tuple(cpu_flags)
    ways = [way for way in outputs if way != FLOAT]
    to_float = {way: sqnr_db(outputs[FLOAT], outputs[way]) for way in ways if FLOAT in outputs}
    to_simulated = {way: sqnr_db(outputs[SIMULATED], outputs[way]) for way in ways if way != SIMULATED}
    findings = (
        *about_speed(latency.ratios.get(FLOAT), len(inputs)),
        about_cpu(flags),
        *about_kernels(kernels, len(inputs), latency.results[DEPLOYED].p50_ms),
        *about_fidelity(weights, flags, {way: to_float.get(way) for way in ways}, to_simulated),
    )
    return Diagnosis(
        machine=latency.machine,
        batch=len(inputs),
        cpu_flags=flags,
        weights=weights,
        kernels=kernels,
        sqnr_float_db=to_float,
        sqnr_simulated_db=to_simulated,
        latency=latency,
        remedies=remedies,
        findings=findings,
    )


def _load_all(
    quantized: Path | str | bytes, float_model: Path | str | bytes | None, threads: int
) -> dict[str, OnnxModel]:
    """Return way of running → loaded model; the first to load tells a file that is not ONNX."""
    models = {SIMULATED: OnnxRuntime("off").load(quantized, threads=threads)}
    if float_model is not None:
        models[FLOAT] = OnnxRuntime().load(float_model, threads=threads)
    models[DEPLOYED] = OnnxRuntime().load(quantized, threads=threads)
    models[PRECISE] = OnnxRuntime(precise_int8=True).load(quantized, threads=threads)
    unsigned = with_unsigned_weights(_graph(quantized)).SerializeToString()
    models[UNSIGNED] = OnnxRuntime().load(unsigned, threads=threads)
    return models


def _graph(source: Path | str | bytes) -> onnx.ModelProto:
    return onnx.load_model_from_string(source) if isinstance(source, bytes) else onnx.load(source)


def _check_shapes(outputs: Mapping[str, Array]) -> None:
    float_shape, shape = outputs.get(FLOAT, outputs[DEPLOYED]).shape, outputs[DEPLOYED].shape
    if float_shape != shape:
        raise DataError(
            f"The float model gives outputs of shape {float_shape} and the quantized one {shape}; "
            "pass the model that this file was quantized from."
        )


def _decibels(value: float | None) -> str:
    if value is None:
        return "–"
    return "equal" if isinf(value) and value > 0 else f"{value:.1f}"
