"""The table of a factorization, from reports made by hand."""

from torch import nn

from course_lib.architectures.tracing import trace_steps
from course_lib.lowrank.ranks import DENSE, Choice
from course_lib.lowrank.report import FactorizedModel, LayerReport

GRAPH = trace_steps(nn.Sequential(nn.Linear(2, 2)))


def test_the_table_names_methods_ranks_and_reasons() -> None:
    layers = (
        LayerReport("conv", Choice("tucker", (3, 5), 4_000, 0.9123), 9_000, 0.25, ""),
        LayerReport("depthwise", Choice(DENSE, (), 500, 1.0), 500, 0.0, "4 groups"),
    )
    head, _, conv, depthwise, last = str(FactorizedModel(GRAPH, layers, 9_500, 4_500)).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in (head, conv, depthwise)]
    assert cells[0][0] == "layer"
    assert cells[1] == ["conv", "tucker", "3, 5", "91.2%", "9,000", "4,000", "25.0%", "–"]
    assert cells[2] == ["depthwise", "dense", "–", "100.0%", "500", "500", "0.0%", "4 groups"]
    assert last == "9,500 MACs became 4,500."


def test_a_model_without_layers_to_factorize() -> None:
    assert str(FactorizedModel(GRAPH, (), 10, 10)) == "10 MACs became 10."
