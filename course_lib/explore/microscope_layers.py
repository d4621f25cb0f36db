"""The network as a row of layers: how wide each is, and with which others it loses channels.

Worked example: conv "a" (8 filters) → depthwise conv "b" → linear "c". The group "a" has 8 channels; "a"
makes them, "b" filters each by itself, and "c" reads them. Without two of them "a" and "b" have 6 of 8
outputs and "c" reads 6 of 8 inputs; the outputs of "c" are the model's result and stay.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from course_lib.pruning.structure.group import Group, Role, Slices

if TYPE_CHECKING:
    from course_lib.explore.channel_graph import ChannelGraph

NOT_IN_THE_FILE = (
    "The output channels of {!r} cannot be removed here: they reach a step of the exported graph whose size "
    "cannot be changed without another export; use remove(graph, chosen) on the module instead."
)


@dataclass(frozen=True)
class NetworkLayer:
    """One convolution or linear layer of the whole network.

    Parameters
    ----------
    path
        In the traced graph.
    kind
        For example "conv 3×3", "depthwise 3×3", "linear".
    outputs, inputs
        How many rows and columns its weight has; the columns of a grouped convolution serve all its groups.
    groups
        Names of the groups whose channels it makes or filters, the largest first; empty if all outputs stay.
    why
        Sentences that say which layers lose channels together with it and why, or why its outputs stay.
    details
        Lines that list every part which a channel is removed from, norms too; empty if all outputs stay.
    """

    path: str
    kind: str
    outputs: int
    inputs: int
    groups: tuple[str, ...]
    why: tuple[str, ...]
    details: tuple[str, ...]


class LayerWidth(NamedTuple):
    """How many outputs and inputs one layer has left."""

    outputs: int
    inputs: int


class Network:
    """The layers of a model and the groups that tie them.

    Parameters
    ----------
    channels
        The model's graph.

    Attributes
    ----------
    layers
        Convolutions and linear layers, in the order of the model's steps.
    groups
        Name → group, those that can be removed.
    """

    def __init__(self, channels: "ChannelGraph") -> None:
        self.groups = {group.name: group for group in channels.groups}
        self._kinds = {path: kind for path, kind, _ in _kernels(channels)}
        self.layers = tuple(
            self._layer(channels, path, kind, sizes) for path, kind, sizes in _kernels(channels)
        )

    def roles(self, group: str) -> dict[str, tuple[Role, ...]]:
        """Return layer → what it has to do with the channels of a group; norms are left out."""
        roles: dict[str, tuple[Role, ...]] = {}
        for part in self._parts(self.groups[group]):
            roles[part.path] = (*roles.get(part.path, ()), part.role)
        return roles

    def widths(self, chosen: Mapping[str, Sequence[int]]) -> tuple[LayerWidth, ...]:
        """Return what is left of each layer without the chosen channels: group name → channels."""
        left = {layer.path: [layer.outputs, layer.inputs] for layer in self.layers}
        for name, channels in chosen.items():
            for part in self._parts(self.groups[name]):
                gone = sum(len(part.indices[channel]) for channel in channels)
                left[part.path][part.role == "in"] -= gone
        return tuple(LayerWidth(*left[layer.path]) for layer in self.layers)

    def _parts(self, group: Group) -> list[Slices]:
        return [part for part in group.slices if part.path in self._kinds]

    def _layer(self, channels: "ChannelGraph", path: str, kind: str, sizes: tuple[int, int]) -> NetworkLayer:
        mine = sorted(
            (group for group in self.groups.values() if _keeps(group, path)),
            key=lambda group: -group.channels,
        )
        text = channels.dependencies.explain(path)
        if mine:
            why, details = tuple(self._sentences(mine[0], text)), tuple(text.splitlines())
        elif "\n" in text:
            why, details = (NOT_IN_THE_FILE.format(path),), ()
        else:
            why, details = (text,), ()
        return NetworkLayer(path, kind, *sizes, tuple(group.name for group in mine), why, details)

    def _sentences(self, group: Group, text: str) -> Iterator[str]:
        """Yield why the layers of a group lose the same channels, from what the dependency graph explains."""
        roles = self.roles(group.name)
        makers, filters, readers = (
            [path for path, has in roles.items() if role in has] for role in ("out", "pass", "in")
        )
        ties = [line.strip() for line in text.partition("\nbecause\n")[2].splitlines()]
        if len(makers) > 1:
            because = f", because {'; '.join(ties)}" if ties else ""
            yield f"{_listed(makers)} must lose the same channels{because}."
        elif ties:
            yield f"Some outputs of {makers[0]} go together, because {'; '.join(ties)}."
        if filters:
            verb = "has" if len(filters) == 1 else "each have"
            yield f"{_listed(filters)} {verb} a filter for every one of these channels, which goes with it."
        if readers:
            verb = "reads these channels and loses" if len(readers) == 1 else "read these channels and lose"
            yield f"{_listed(readers)} {verb} the inputs."


def _keeps(group: Group, path: str) -> bool:
    """Return whether a layer's own outputs lose a channel with the group: it makes or filters them."""
    return any(part.path == path and part.role != "in" for part in group.slices)


def _kernels(channels: "ChannelGraph") -> Iterator[tuple[str, str, tuple[int, int]]]:
    """Yield path, kind, (outputs, inputs) of each convolution and linear layer, in the order of the steps."""
    from torch import nn

    from course_lib.pruning.structure.layer_rules import CONVS, TRANSPOSED, is_depthwise

    graph = channels.dependencies.graph
    paths = dict.fromkeys(str(node.target) for node in graph.graph.nodes if node.op == "call_module")
    for path in paths:
        layer: Any = graph.get_submodule(path)
        if isinstance(layer, nn.Linear):
            yield path, "linear", (layer.out_features, layer.in_features)
        elif isinstance(layer, CONVS + TRANSPOSED):
            size = "×".join(map(str, layer.kernel_size))
            depthwise, transposed = is_depthwise(layer), isinstance(layer, TRANSPOSED)
            name = "depthwise" if depthwise else "transposed conv" if transposed else "conv"
            parts = f" in {layer.groups} groups" if layer.groups > 1 and not depthwise else ""
            columns = layer.weight.shape[0 if transposed else 1]
            yield path, f"{name} {size}{parts}", (layer.out_channels, columns)


def _listed(paths: Sequence[str]) -> str:
    return paths[0] if len(paths) == 1 else f"{', '.join(paths[:-1])} and {paths[-1]}"
