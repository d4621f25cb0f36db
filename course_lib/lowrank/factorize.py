"""Low-rank factorization of a whole model: the layers where it saves MACs become chains of thinner ones.

>>> factorized = factorize(model, images, LowRankConfig(energy_kept=0.9))                # doctest: +SKIP
>>> print(factorized)                                                                    # doctest: +SKIP

The model is traced, each linear layer and convolution is offered to every method, and its rank is chosen by
the energy to keep, or by a budget of MACs that all layers share (`ranks`). A factorized model is a starting
point: the lost energy costs accuracy, most of which some epochs of training win back, with the factors as
ordinary layers.

Left out: convolutions with groups (a depthwise filter has 9 weights: there is nothing to factorize), 1-d,
3-d and transposed ones, and layers inside those that torch.fx does not enter, such as nn.MultiheadAttention.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, fx, nn

from course_lib.architectures.tracing import calls, layer_of, trace_steps
from course_lib.benchmarking.macs import profile_layers
from course_lib.errors import SettingError
from course_lib.lowrank.extent import Extent, WeightLayer, composed_kernel, dense_macs, extent_of, kernel
from course_lib.lowrank.ranks import DENSE, Choice, cheapest_keeping, check_energy, within_budget
from course_lib.lowrank.report import FactorizedModel, LayerReport
from course_lib.lowrank.spatial import spatial_choices, spatial_layers
from course_lib.lowrank.svd import svd_choices, svd_layers
from course_lib.lowrank.tucker import tucker_choices, tucker_layers
from course_lib.registry import look_up

Method = Literal["svd", "tucker", "spatial"]
Inputs: TypeAlias = Tensor | tuple[Tensor, ...]

CHOICES: dict[str, Callable[[WeightLayer, list[Extent]], list[Choice]]] = {
    "svd": svd_choices,
    "tucker": tucker_choices,
    "spatial": spatial_choices,
}
"""Method → the choices that it offers for a layer."""


@dataclass(frozen=True)
class LowRankConfig:
    """What is factorized, and how far; exactly one of ``energy_kept`` and ``macs_budget`` is given.

    Parameters
    ----------
    energy_kept
        Fraction of each layer's energy to keep at least, in (0, 1].
    macs_budget
        MACs that the whole model may cost for one sample.
    methods
        Which may be used; each layer gets the one that suits it best.
    kept
        Paths of the layers that stay as they are.
    hooi_steps
        Rounds of HOOI for Tucker-2, at least 0.

    Raises
    ------
    SettingError
        If both or none of the two are given, a number is out of its range, or there are no methods.
    UnknownNameError
        If there is no such method.
    """

    energy_kept: float | None = None
    macs_budget: int | None = None
    methods: tuple[Method, ...] = ("svd", "tucker", "spatial")
    kept: tuple[str, ...] = ()
    hooi_steps: int = 0

    def __post_init__(self) -> None:
        if (self.energy_kept is None) == (self.macs_budget is None):
            raise SettingError(
                f"energy_kept is {self.energy_kept} and macs_budget {self.macs_budget}; pass exactly one of "
                "the two."
            )
        if self.energy_kept is not None:
            check_energy(self.energy_kept)
        if self.hooi_steps < 0 or not self.methods:
            raise SettingError(
                f"hooi_steps is {self.hooi_steps} and methods {self.methods}; expected 0 or more steps and "
                "at least one method, such as ('svd',)."
            )
        for method in self.methods:
            look_up(CHOICES, "method", method)


def factorize(model: nn.Module, example_inputs: Inputs, config: LowRankConfig) -> FactorizedModel:
    """Return a factorized copy of the model; the model itself stays as it is.

    Parameters
    ----------
    example_inputs
        The input, or a tuple with one tensor for each argument. The first sample tells how often each layer
        is applied; all of them are used for the errors of the layers.

    Raises
    ------
    SettingError
        If no choice of ranks meets the budget; the message tells the smallest that one does.
    UnknownNameError
        If ``config.kept`` names a layer that the model does not have.
    ModelError
        If the model cannot be traced, does not run on the inputs, or has weights that are not finite.
    """
    inputs = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
    graph = trace_steps(model)
    first = tuple(each[:1] for each in inputs)
    macs_before = profile_layers(graph, first).macs
    layers = _weight_layers(graph)
    for path in config.kept:
        look_up(layers, "layer", path)
    extents: dict[str, list[Extent]] = {path: [] for path in layers}
    with _watched(layers, lambda path, x, y: extents[path].append(extent_of(layers[path], x, y))):
        _run(graph, first)
    reasons = _reasons_to_keep(graph, layers, extents, config)
    dense = {path: dense_macs(layer, extents[path]) for path, layer in layers.items()}
    choices = {
        path: _choices(layer, extents[path], dense[path], config)
        for path, layer in layers.items()
        if path not in reasons
    }
    chosen = _choose(choices, macs_before, config)
    factors = {
        path: _factors(layers[path], each, config) for path, each in chosen.items() if each.method != DENSE
    }
    errors = _output_errors(graph, layers, factors, inputs)
    reports = tuple(
        _report(path, layer, chosen.get(path), factors.get(path), dense[path], errors, reasons)
        for path, layer in layers.items()
    )
    for path, chain in factors.items():
        graph.set_submodule(path, chain)
    return FactorizedModel(graph, reports, macs_before, profile_layers(graph, first).macs)


def _weight_layers(graph: fx.GraphModule) -> dict[str, WeightLayer]:
    """Return path → layer of all linear layers and 2-d convolutions, in the order in which they run."""
    nodes = (node for node in graph.graph.nodes if calls(node, nn.Linear, nn.Conv2d))
    return {str(node.target): layer_of(node) for node in nodes}  # type: ignore[misc]


@contextmanager
def _watched(layers: Mapping[str, WeightLayer], see: Callable[[str, Tensor, Tensor], None]) -> Iterator[None]:
    """Call ``see`` with the path, input and output of every call of a layer inside the block."""

    def watcher(path: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        return lambda layer, inputs, output: see(path, inputs[0], output)

    handles = [layer.register_forward_hook(watcher(path)) for path, layer in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _run(graph: fx.GraphModule, inputs: tuple[Tensor, ...]) -> None:
    with torch.inference_mode():
        graph(*inputs)


def _reasons_to_keep(
    graph: fx.GraphModule,
    layers: Mapping[str, WeightLayer],
    extents: Mapping[str, list[Extent]],
    config: LowRankConfig,
) -> dict[str, str]:
    """Return path → why the layer cannot be, or should not be, factorized."""
    read = [str(node.target).rpartition(".")[0] for node in graph.graph.nodes if node.op == "get_attr"]
    owners: dict[int, list[str]] = {}
    for name, parameter in graph.named_parameters(remove_duplicate=False):
        owners.setdefault(id(parameter), []).append(name.rpartition(".")[0])
    reasons = {}
    for path, layer in layers.items():
        shared = [owner for owner in owners.get(id(layer.weight), []) if owner != path]
        if path in config.kept:
            reasons[path] = "asked to stay"
        elif isinstance(layer, nn.Conv2d) and layer.groups > 1:
            reasons[path] = f"{layer.groups} groups, each a small kernel of its own"
        elif shared:
            reasons[path] = f"shares its weight with {shared[0]}"
        elif path in read:
            reasons[path] = "its weight is also read outside the layer"
        elif not extents[path]:
            reasons[path] = "did not run"
    return reasons


def _choices(layer: WeightLayer, extents: list[Extent], dense: int, config: LowRankConfig) -> list[Choice]:
    """Return the layer as it is, and whatever costs less."""
    offered = [each for method in config.methods for each in CHOICES[method](layer, extents)]
    return [Choice(DENSE, (), dense, 1.0), *(each for each in offered if each.macs < dense)]


def _choose(
    choices: Mapping[str, list[Choice]], macs_before: int, config: LowRankConfig
) -> dict[str, Choice]:
    if config.energy_kept is not None:
        return {path: cheapest_keeping(row, config.energy_kept) for path, row in choices.items()}
    # What is not up for choice stands as one more layer, so that the message tells the model's MACs.
    fixed = macs_before - sum(row[0].macs for row in choices.values())
    rest = {"": [Choice(DENSE, (), fixed, 1.0)]}
    assert config.macs_budget is not None
    chosen = within_budget({**choices, **rest}, config.macs_budget)
    return {path: chosen[path] for path in choices}


def _factors(layer: WeightLayer, choice: Choice, config: LowRankConfig) -> nn.Sequential:
    if choice.method == "svd" or isinstance(layer, nn.Linear):
        return svd_layers(layer, *choice.rank)
    if choice.method == "spatial":
        return spatial_layers(layer, *choice.rank)
    return tucker_layers(layer, *choice.rank, steps=config.hooi_steps)


def _output_errors(
    graph: fx.GraphModule,
    layers: Mapping[str, WeightLayer],
    factors: Mapping[str, nn.Sequential],
    inputs: tuple[Tensor, ...],
) -> dict[str, float]:
    """Return path → relative error of the layer's output, each fed with what the dense model gives it."""
    sums = {path: [0.0, 0.0] for path in factors}

    def see(path: str, x: Tensor, y: Tensor) -> None:
        sums[path][0] += float((factors[path](x) - y).double().square().sum())
        sums[path][1] += float(y.double().square().sum())

    with _watched({path: layers[path] for path in factors}, see):
        _run(graph, inputs)
    return {path: (lost / total) ** 0.5 if total else 0.0 for path, (lost, total) in sums.items()}


def _report(
    path: str,
    layer: WeightLayer,
    choice: Choice | None,
    chain: nn.Sequential | None,
    dense: int,
    errors: Mapping[str, float],
    reasons: Mapping[str, str],
) -> LayerReport:
    if choice is None or chain is None:
        reason = reasons.get(path, "no smaller form that keeps enough, or none needed")
        return LayerReport(path, Choice(DENSE, (), dense, 1.0), dense, 0.0, reason)
    weight = kernel(layer)
    total = float(weight.square().sum())
    lost = float((composed_kernel(chain) - weight).square().sum())
    kept = 1 - lost / total if total else 1.0
    return LayerReport(path, Choice(choice.method, choice.rank, choice.macs, kept), dense, errors[path], "")
