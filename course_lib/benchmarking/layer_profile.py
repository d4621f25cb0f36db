"""A model layer by layer: MACs, parameters, time and its table; `profile_layers` in ``macs.py`` fills it."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from course_lib.benchmarking.number_text import significant
from course_lib.benchmarking.table import MeasuredResult, Row


@dataclass(frozen=True)
class LayerProfile:
    """What one module does itself, without the modules inside it, for one sample.

    ``output_shape`` includes the batch axis of 1; it is None where the module did not run or its output is
    not a tensor. ``samples_ms`` holds one time a run, empty where time was not asked for.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...] | None
    macs: int
    params: int
    samples_ms: tuple[float, ...] = field(default=(), repr=False)

    @property
    def p50_ms(self) -> float | None:
        """The median of its time, hooks included (some microseconds), or None where it was not timed."""
        return float(np.median(self.samples_ms)) if self.samples_ms else None


@dataclass(frozen=True, kw_only=True)
class ModelProfile(MeasuredResult):
    """A model layer by layer, in the order in which its modules are defined."""

    name: str
    layers: tuple[LayerProfile, ...]
    derived: ClassVar[tuple[str, ...]] = ("macs", "params", "p50_ms")

    @property
    def macs(self) -> int:
        """MACs of the whole model for one sample."""
        return sum(layer.macs for layer in self.layers)

    @property
    def params(self) -> int:
        """Parameters of the whole model; one that several layers share counts once."""
        return sum(layer.params for layer in self.layers)

    @property
    def p50_ms(self) -> float | None:
        """The median over the runs of all layers' time together, or None where they were not timed."""
        totals = np.sum([layer.samples_ms for layer in self.layers], axis=0)
        return float(np.median(totals)) if totals.size else None

    def table_rows(self) -> list[Row]:
        total = LayerProfile("total", self.name, None, self.macs, self.params)
        rows = [self._row(layer, layer.p50_ms) for layer in self.layers]
        return [*rows, self._row(total, self.p50_ms)]

    def _row(self, layer: LayerProfile, p50_ms: float | None) -> Row:
        row = {
            "layer": layer.name,
            "kind": layer.kind,
            "output": "×".join(map(str, layer.output_shape)) if layer.output_shape else "–",
            "MACs": f"{layer.macs:,}",
            "of all MACs": f"{layer.macs / self.macs:.1%}" if self.macs else "–",
            "parameters": f"{layer.params:,}",
        }
        return row if p50_ms is None else {**row, "p50 ms": significant(p50_ms)}
