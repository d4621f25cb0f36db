"""Sizes in steps: what changes, what stays, on small networks."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, fx, nn

from course_lib.pruning.structure.dependency import DependencyGraph
from course_lib.pruning.structure.removal import remove
from tests.pruning.structure.networks import Net, conv, networks

EXAMPLE = torch.randn(1, 4, 4, 4)


def steps(pruned: fx.GraphModule, target: str) -> list[tuple[object, ...]]:
    """Return the arguments of steps of a kind, without the tensor; other steps by their names."""
    found = [node for node in pruned.graph.nodes if getattr(node.target, "__name__", node.target) == target]
    return [fx.node.map_arg(node.args[1:], str) for node in found]


def halved(forward: Callable[[Net, Tensor], Tensor], **layers: nn.Module) -> fx.GraphModule:
    """Return a network without the first channel of each group, proved for two batch sizes."""
    torch.manual_seed(0)
    graph = DependencyGraph(Net(forward, **layers), EXAMPLE)
    assert graph.groups
    return remove(graph, {group.name: [0] for group in graph.groups}, inputs=[torch.randn(3, 4, 4, 4)])


def test_the_number_of_heads() -> None:
    torch.manual_seed(0)
    pruned = remove(DependencyGraph(networks()["heads"], EXAMPLE), {"q": [1]})
    assert [sizes[1:] for sizes in steps(pruned, "view")] == [(16, 2, 2)] * 3
    assert steps(pruned, "reshape")[0][1:] == (16, 4)


def test_minus_one_and_sizes_of_the_batch_stay() -> None:
    pruned = halved(lambda net, x: net.b(net.a(x).view(x.shape[0], -1)), a=conv(4, 5), b=nn.Linear(80, 3))
    ((batch, size),) = steps(pruned, "view")
    assert size == -1
    assert isinstance(batch, str)


@pytest.mark.parametrize(
    "sizes",
    [
        lambda x: (-1, 80),
        lambda x: ((-1, 80),),
        lambda x: (x.size(0), 5 * 16),
        lambda x: (1 * x.shape[0], 80),
    ],
)
def test_spellings_of_a_view(sizes: Callable[[Tensor], tuple[object, ...]]) -> None:
    pruned = halved(lambda net, x: net.b(net.a(x).reshape(*sizes(x))), a=conv(4, 5), b=nn.Linear(80, 3))
    assert "64" in str(steps(pruned, "reshape"))


def test_sizes_that_are_computed_from_others_are_replaced_if_wrong() -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        n, c, h, w = net.a(x).shape
        parts = net.a(x).view(n, 2, c // 2, h, w).sum(1)  # c // 2 stays right when pairs go
        return net.b(parts)

    pruned = halved(forward, a=conv(4, 8), b=conv(4, 3))
    assert steps(pruned, "view")[0][1:3] == (2, "floordiv")
    assert pruned.get_submodule("a").weight.shape[0] == 6


def test_parts_of_a_split_get_their_new_sizes() -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        first, second = torch.split(net.a(x), [3, 5], dim=1)
        return net.b(first) + net.c(second)

    pruned = halved(forward, a=conv(4, 8), b=conv(3, 2), c=conv(5, 2))
    assert steps(pruned, "split") == [([2, 4], 1)]


def test_equal_parts_become_unequal_ones() -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        first, second = net.a(x).chunk(2, dim=1)
        return net.b(first) + net.c(second)

    torch.manual_seed(0)
    graph = DependencyGraph(Net(forward, a=conv(4, 8), b=conv(4, 2), c=conv(4, 2)), EXAMPLE)
    assert steps(remove(graph, {"a": [0, 2], "a[4:]": []}), "split") == [([2, 4], 1)]
    assert steps(remove(graph, {"a": [0], "a[4:]": [1]}), "chunk") == [(2,)]


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        ((slice(None), slice(2, None)), slice(1, 5)),
        ((slice(None), slice(-4, None)), slice(1, 5)),
        ((..., slice(2, 6), slice(None), slice(None)), slice(1, 5)),
    ],
)
def test_bounds_of_slices(index: tuple[object, ...], expected: slice) -> None:
    torch.manual_seed(0)
    model = Net(
        lambda net, x: net.b((y := net.a(x))[index]) + net.c(y)[:, :2],
        a=conv(4, 6),
        b=conv(4, 2),
        c=conv(6, 2),
    )
    graph = DependencyGraph(model, EXAMPLE)
    pruned = remove(graph, {"a": [1], "a[2:]": []}, inputs=[torch.randn(2, 4, 4, 4)])
    assert expected in steps(pruned, "getitem")[0][0]  # type: ignore[operator]


def test_expanded_parameters_follow() -> None:
    torch.manual_seed(0)
    graph = DependencyGraph(networks()["tokens"], EXAMPLE)
    pruned = remove(graph, {"first": [0, 5]}, inputs=[torch.randn(3, 4, 4, 4)])
    assert pruned.token.shape == (1, 1, 4)
    assert pruned.position.shape == (1, 17, 4)


def test_unflatten() -> None:
    pruned = halved(lambda net, x: net.b(net.a(x).unflatten(1, (2, 4)).amax(1)), a=conv(4, 8), b=conv(4, 3))
    assert steps(pruned, "unflatten") == [(1, (2, 3))]
