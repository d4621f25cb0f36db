"""What a factorization did: a report for each layer, and the table that a person reads."""

from dataclasses import dataclass

from torch import fx

from course_lib.benchmarking.table import Row, text_table
from course_lib.lowrank.ranks import Choice


@dataclass(frozen=True)
class LayerReport:
    """What became of one layer.

    Parameters
    ----------
    choice
        Its method (``"dense"`` where it stayed as it was), ranks, MACs for one sample, and the fraction of
        the weight's energy kept.
    macs_before
        MACs of the layer as it was, for one sample.
    relative_error
        ‖ŷ − y‖ / ‖y‖ of the layer's output, measured on the example inputs.
    reason
        Why it stayed as it was; empty for a factorized one.
    """

    path: str
    choice: Choice
    macs_before: int
    relative_error: float
    reason: str


@dataclass(frozen=True)
class FactorizedModel:
    """The smaller model, in evaluation mode, with a report for each layer; MACs are for one sample."""

    model: fx.GraphModule
    layers: tuple[LayerReport, ...]
    macs_before: int
    macs_after: int

    def __str__(self) -> str:
        rows = [_row(layer) for layer in self.layers]
        saved = f"{self.macs_before:,} MACs became {self.macs_after:,}."
        return f"{text_table(rows)}\n{saved}" if rows else saved


def _row(layer: LayerReport) -> Row:
    choice = layer.choice
    return {
        "layer": layer.path,
        "method": choice.method,
        "rank": ", ".join(map(str, choice.rank)) or "–",
        "energy kept": f"{choice.energy_kept:.1%}",
        "MACs before": f"{layer.macs_before:,}",
        "MACs": f"{choice.macs:,}",
        "error of the output": f"{layer.relative_error:.1%}",
        "why not smaller": layer.reason or "–",
    }
