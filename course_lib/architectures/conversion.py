"""From standard residual blocks to mobile ones, in any network, keeping what can be kept of the weights.

Each of a block's two k×k convolutions becomes a depthwise k×k and a 1×1 convolution (Howard et al.,
MobileNets, 2017). Norms, activations, shortcuts, the stem and the classifier stay, with their weights; the
pair starts as the closest separable kernel to the dense one (`course_lib.architectures.separable_kernel`),
so that training does not start at random. How close that is, the relative error of the kernel tells layer by
layer. In trained layers it is large, for their output channels look at the same input in different ways, and
the norms keep statistics of the dense layers: the network has to be trained again before it is of use.

A MobileNet has a norm and an activation between the two convolutions. They are left out here, for with them
the pair would not stand for a kernel.

Worked example: a 3×3 convolution from 16 to 16 channels on 28×28 pixels has 9·16·16 = 2,304 weights and
2,304·784 = 1,806,336 MACs. Its pair has 9·16 + 16·16 = 400 weights and 400·784 = 313,600 MACs, 5.76 times
fewer, as `separable_ratio(3, 16)` says.
"""

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from course_lib.architectures.residual_blocks import ResidualBlock, find_residual_blocks
from course_lib.architectures.separable_kernel import separable_pair
from course_lib.architectures.tracing import trace_steps
from course_lib.errors import ModelError, SettingError


@dataclass(frozen=True)
class LayerChange:
    """A dense convolution that became a separable pair; MACs are for one sample.

    ``relative_error`` is ‖W − Ŵ‖ / ‖W‖ of its kernel. ``params_before`` are the
    parameters that left the model with the layer: those that layers share go with the last of them.
    """

    path: str
    block: str
    params_before: int
    params_after: int
    macs_before: int
    macs_after: int
    relative_error: float


@dataclass(frozen=True)
class LeftAlone:
    """A block that stayed as it was, and why."""

    block: str
    reason: str


@dataclass(frozen=True, repr=False)
class Conversion:
    """The new model, with what changed and what did not; shows itself as a table in a notebook."""

    model: nn.Module
    changes: tuple[LayerChange, ...]
    left_alone: tuple[LeftAlone, ...]

    def table_rows(self) -> list[dict[str, str]]:
        """Return one row a changed layer, and their sum."""
        rows = [
            {
                "layer": change.path,
                "block": change.block,
                "parameters before": f"{change.params_before:,}",
                "parameters": f"{change.params_after:,}",
                "MACs before": f"{change.macs_before:,}",
                "MACs": f"{change.macs_after:,}",
                "error of the kernel": f"{change.relative_error:.1%}",
            }
            for change in self.changes
        ]
        total = {
            "layer": "all changed layers",
            "block": "–",
            "parameters before": f"{sum(change.params_before for change in self.changes):,}",
            "parameters": f"{sum(change.params_after for change in self.changes):,}",
            "MACs before": f"{sum(change.macs_before for change in self.changes):,}",
            "MACs": f"{sum(change.macs_after for change in self.changes):,}",
            "error of the kernel": "–",
        }
        return [*rows, total]

    def __str__(self) -> str:
        rows = self.table_rows()
        lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
        table = [f"| {' | '.join(line)} |" for line in lines]
        kept = [f"{each.block} stays as it is: {each.reason}." for each in self.left_alone]
        if not self.changes:
            return "\n".join(["No block was converted.", *kept])
        return "\n".join([*table, "", *kept]).rstrip()

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        return str(self).replace(".\n", ".\n\n")


def to_mobile_blocks(
    model: nn.Module,
    example_inputs: Tensor | Sequence[Tensor],
    *,
    multiplier: int = 1,
    kept: Sequence[str] = (),
) -> Conversion:
    """Return a copy of the model whose standard residual blocks are mobile ones; the model stays as it is.

    Parameters
    ----------
    model
        Any network that torch.fx can trace; its blocks are found by `find_residual_blocks`.
    example_inputs
        The input, or one tensor for each argument; the first sample tells the size of each layer's output.
    multiplier
        Depthwise filters for each input channel, at least 1: more cost more and come closer to the dense
        kernel.
    kept
        Paths of blocks to leave as they are, such as ``"layer1.0"``.

    Raises
    ------
    SettingError
        If the multiplier is not a whole number of at least 1, or ``kept`` is one text or names something that
        is not a block (the blocks are listed).
    ModelError
        If the model cannot be traced, does not run on the inputs, or has weights that are not finite.
    """
    if not isinstance(multiplier, int) or isinstance(multiplier, bool) or multiplier < 1:
        raise SettingError(
            f"multiplier is {multiplier!r}; expected at least 1 filter for each input channel, and a whole "
            "number of them."
        )
    graph = trace_steps(model, share_tensors=True)
    blocks = find_residual_blocks(graph)
    _check_kept(kept, blocks)
    positions = _output_positions(graph, example_inputs, type(model).__name__)
    converted = deepcopy(model)
    changes: list[LayerChange] = []
    left_alone: list[LeftAlone] = []
    for block in blocks:
        reason = "asked to stay" if block.path in kept else block.reason
        layers = [converted.get_submodule(path) for path in block.convs]
        if not reason and not _saves(layers, multiplier):
            reason = f"a separable pair with multiplier {multiplier} has no fewer weights"
        if reason:
            left_alone.append(LeftAlone(block.path, reason))
            continue
        for path, layer in zip(block.convs, layers, strict=True):
            assert isinstance(layer, nn.Conv2d)
            pair, error = separable_pair(layer, multiplier)
            converted.set_submodule(path, pair)
            gone = set(layer.parameters()) - set(converted.parameters())
            changes.append(_change(path, block.path, gone, layer, pair, positions[path], error))
    return Conversion(converted, tuple(changes), tuple(left_alone))


def _check_kept(kept: Sequence[str], blocks: Sequence[ResidualBlock]) -> None:
    if isinstance(kept, str):
        raise SettingError(
            f"kept is the text {kept!r}; pass a sequence of paths, for example kept=({kept!r},)."
        )
    known = [block.path for block in blocks]
    unknown = [path for path in kept if path not in known]
    if unknown:
        raise SettingError(
            f"kept names {', '.join(unknown)}, which is no residual block of this model; its blocks are "
            f"{', '.join(known) or 'none'}."
        )


def _weights(layer: nn.Module) -> int:
    return _numbers(parameter for name, parameter in layer.named_parameters() if name.endswith("weight"))


def _numbers(parameters: Iterable[Tensor]) -> int:
    return sum(parameter.numel() for parameter in parameters)


def _saves(layers: Sequence[nn.Module], multiplier: int) -> bool:
    """Return whether separable pairs of these convolutions have fewer weights together, and so fewer MACs.

    Weights that the convolutions share count once.
    """
    kernels: set[Tensor] = set()
    after = 0
    for layer in layers:
        assert isinstance(layer, nn.Conv2d)
        places = layer.kernel_size[0] * layer.kernel_size[1]
        if multiplier > min(layer.out_channels, places):
            return False
        kernels.add(layer.weight)
        after += multiplier * layer.in_channels * (places + layer.out_channels)
    return after < _numbers(kernels)


def _change(
    path: str,
    block: str,
    gone: Iterable[Tensor],
    layer: nn.Conv2d,
    pair: nn.Module,
    positions: int,
    error: float,
) -> LayerChange:
    """Return what changed; each weight is used once at each position of the output, in all three layers."""
    before, after = _numbers(gone), _numbers(pair.parameters())
    macs = (_weights(layer) * positions, _weights(pair) * positions)
    return LayerChange(path, block, before, after, *macs, error)


def _output_positions(
    graph: fx.GraphModule, example_inputs: Tensor | Sequence[Tensor], name: str
) -> dict[str, int]:
    """Return path → pixels of the output for one sample, of each convolution; the graph is run once."""
    inputs = (example_inputs,) if isinstance(example_inputs, Tensor) else tuple(example_inputs)
    positions: dict[str, int] = {}

    def watcher(path: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        return lambda layer, x, y: positions.update({path: y.shape[-2] * y.shape[-1]})

    for path, layer in graph.named_modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(watcher(path))
    try:
        with torch.no_grad():
            graph(*(tensor[:1] for tensor in inputs))
    except Exception as error:  # whatever the model raises on inputs that do not suit it
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{name} could not run on the example inputs ({first_line}): pass inputs for which "
            "model(*example_inputs) works, for example images[:1]."
        ) from error
    return positions
