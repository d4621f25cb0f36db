"""Where are the residual blocks of a network? Found in the traced graph, by what is added to what.

A residual block ends in an addition y = shortcut(x) + branch(x). From the addition both inputs are followed
back, through steps with one input, to the first step that they share: the block's input x. The path with
the k×k convolutions is the branch, the other one the shortcut. So the classes and names that a network uses
do not matter.

Worked example: in y = ReLU(x + bn2(conv2(ReLU(bn1(conv1(x)))))) the addition has the inputs x and bn2.
Back from bn2 lie conv2, ReLU, bn1, conv1 and x; back from x nothing of these. They share x, and the branch
holds two k×k convolutions: a standard block, as in He et al. (2016), figure 2.

Left out: blocks whose branches split and join again on the way (squeeze-and-excitation, concatenations).
"""

from dataclasses import dataclass
from math import prod

from torch import fx, nn

from course_lib.architectures.tracing import called_once, is_addition, layer_of


@dataclass(frozen=True)
class ResidualBlock:
    """An addition, and what is known of the block that it ends.

    Attributes
    ----------
    path
        What the paths of its convolutions have in common, or the name of the addition.
    convs
        The paths of the two k×k convolutions in the branch; empty where ``reason`` is not.
    reason
        Why this is not a standard block whose convolutions can be exchanged.
    """

    path: str
    convs: tuple[str, ...]
    reason: str


def find_residual_blocks(graph: fx.GraphModule) -> list[ResidualBlock]:
    """Return one record for each addition of two tensors in a traced model, in order."""
    return [_block(node) for node in graph.graph.nodes if is_addition(node)]


def _block(addition: fx.Node) -> ResidualBlock:
    first, second = (_back_from(node) for node in addition.all_input_nodes)
    shared = next((node for node in first if node in second), None)
    if shared is None:
        return ResidualBlock(addition.name, (), "what it adds does not come from one step in two plain rows")
    branches = [row[: row.index(shared)][::-1] for row in (first, second)]
    rows = ([node for node in row if _conv(node)] for row in branches)
    shortcut, branch = sorted(rows, key=lambda row: (_wide_convs(row), len(row)))
    path = _common_path([str(node.target) for node in (*branch, *shortcut)]) or addition.name
    reason = _reason(branch, shortcut)
    convs = () if reason else tuple(str(node.target) for node in branch)
    return ResidualBlock(path, convs, reason)


def _back_from(node: fx.Node) -> list[fx.Node]:
    """Return the step and those before it, up to one that has not exactly one input."""
    row = [node]
    while len(row[-1].all_input_nodes) == 1:
        row.append(row[-1].all_input_nodes[0])
    return row


def _reason(branch: list[fx.Node], shortcut: list[fx.Node]) -> str:
    """Return why the convolutions of a block stay, empty if they need not."""
    if not branch:
        return "no convolution in its branch"
    if _wide_convs(shortcut):
        return "k×k convolutions on both sides of its addition"
    layers = [_conv(node) for node in branch]
    if len(layers) != 2 or any(layer is None or not _is_dense(layer) for layer in layers):
        told = ", ".join(_told(layer) for layer in layers if layer is not None)
        return f"its branch has the convolutions {told}, not two dense k×k ones"
    if not all(called_once(node) for node in branch):
        return "a convolution that is called more than once"
    odd = [node for node in branch if type(layer_of(node)) is not nn.Conv2d]
    return f"{odd[0].target} is a {type(layer_of(odd[0])).__name__}, not a plain Conv2d" if odd else ""


def _conv(node: fx.Node) -> nn.Conv2d | None:
    layer = layer_of(node)
    return layer if isinstance(layer, nn.Conv2d) else None


def _wide_convs(row: list[fx.Node]) -> int:
    """Return how many convolutions of a row look at more than one pixel."""
    return sum(prod(layer.kernel_size) > 1 for layer in map(_conv, row) if layer is not None)


def _is_dense(layer: nn.Conv2d) -> bool:
    return layer.groups == 1 and prod(layer.kernel_size) > 1


def _told(layer: nn.Conv2d) -> str:
    size = "×".join(map(str, layer.kernel_size))
    return f"{size} in {layer.groups} groups" if layer.groups > 1 else size


def _common_path(paths: list[str]) -> str:
    """Return the longest path that all of these lie in: a.b.c and a.b.d → a.b."""
    parts = [path.split(".")[:-1] for path in paths]
    common: list[str] = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        common.append(level[0])
    return ".".join(common)
