"""The groups of small networks, worked by hand, and what cannot be removed and why."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.architectures import create_model
from course_lib.errors import ModelError
from course_lib.pruning.structure.dependency import DependencyGraph
from course_lib.pruning.structure.group import Group, Slices
from course_lib.pruning.structure.removal import remove
from tests.pruning.structure.networks import Net, conv, networks, norm, shuffle

EXAMPLE = torch.zeros(1, 4, 4, 4)


def singles(count: int) -> tuple[tuple[int, ...], ...]:
    return tuple((channel,) for channel in range(count))


def touched(group: Group) -> dict[str, str]:
    return {part.path: part.role for part in group.slices}


def groups_of(name: str) -> list[dict[str, str]]:
    return [touched(group) for group in DependencyGraph(networks()[name], EXAMPLE).groups]


def test_the_worked_example_of_a_group() -> None:
    model = Net(lambda net, x: net.b(net.a(x).flatten(1)), a=conv(4, 3), b=nn.Linear(12, 5))
    (group,) = DependencyGraph(model, torch.zeros(1, 4, 2, 2)).groups
    columns = ((0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10, 11))
    assert group == Group((Slices("a", "out", singles(3)), Slices("b", "in", columns)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("residual", [{"a": "out", "norm": "pass", "b": "out", "c": "in"}]),
        ("concat", [{"a": "out", "c": "in"}, {"b": "out", "c": "in"}]),
        ("depthwise", [{"0": "out", "1": "pass", "2": "pass", "3": "pass", "4": "in"}]),
        ("one_channel", [{"1": "out", "2": "in"}]),
        ("gate", [{"a": "out", "down": "in", "up": "out", "b": "in"}, {"down": "out", "up": "in"}]),
        ("scale", [{"0": "out", "1.scale": "pass", "2": "in"}]),
        ("tokens", [{"first": "out", "token": "pass", "position": "pass", "second": "in"}]),
        ("heads", [{"q": "out", "k": "out", "v": "out", "out": "in"}]),
        ("halves", [{"a": "out", "c": "in"}, {"a": "out", "b": "in"}, {"b": "out", "c": "in"}]),
    ],
)
def test_layers_that_go_together(name: str, expected: list[dict[str, str]]) -> None:
    found = groups_of(name)
    assert len(found) == len(expected)
    assert all(group in found for group in expected)


def test_the_two_halves_of_a_shuffle_go_together() -> None:
    model = Net(lambda net, x: net.b(shuffle(net.a(x))), a=conv(4, 8), b=conv(8, 3))
    (group,) = DependencyGraph(model, EXAMPLE).groups
    assert group.slices[0].indices == ((0, 4), (1, 5), (2, 6), (3, 7))
    assert group.slices[1].indices == ((0, 1), (2, 3), (4, 5), (6, 7))


def test_the_groups_of_a_convolution_lose_the_same_places() -> None:
    graph = DependencyGraph(nn.Sequential(conv(4, 8), conv(8, 6, 2), conv(6, 3)), EXAMPLE)
    first, second = graph.groups
    assert first.slices == (
        Slices("0", "out", ((0, 4), (1, 5), (2, 6), (3, 7))),
        Slices("1", "in", singles(4)),
    )
    assert second.slices == (
        Slices("1", "out", ((0, 3), (1, 4), (2, 5))),
        Slices("2", "in", ((0, 3), (1, 4), (2, 5))),
    )


def test_a_head_is_all_rows_of_query_key_and_value() -> None:
    model = create_model("vision_transformer")
    graph = DependencyGraph(model, torch.zeros(1, 1, 28, 28))
    group = graph.group_of("blocks.0.attention.query_key_value")
    rows, columns = (part.indices[1] for part in group.slices)
    assert group.channels == 4
    assert rows == (*range(16, 32), *range(80, 96), *range(144, 160))
    assert columns == tuple(range(16, 32))
    assert graph.group_of("blocks.0.mlp.0").channels == 128


def test_the_batch_size_does_not_matter() -> None:
    model = networks()["shuffle"]
    many = DependencyGraph(model, torch.zeros(7, 4, 4, 4))
    assert many.groups == DependencyGraph(model, EXAMPLE).groups


def test_a_parameter_can_be_read_on_any_axis_of_size_1() -> None:
    parts = {part.path: part for part in DependencyGraph(networks()["tokens"], EXAMPLE).groups[0].slices}
    assert parts["position"].indices == singles(6)


# What cannot be removed


class Unknown(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.roll(x, 1, 1)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = conv(4, 4), conv(4, 4), conv(4, 3)
        self.b.weight = self.a.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.c(self.b(self.a(x)))


def hooked() -> nn.Module:
    model = nn.Sequential(conv(4, 6), nn.ReLU(), conv(6, 3))
    model[1].register_forward_hook(lambda layer, inputs, output: output * 2)
    return model


REFUSED = {
    "output": (nn.Sequential(conv(4, 3)), "0", "the model returns it as a result of the model"),
    "layer norm": (
        Net(
            lambda net, x: net.b(net.norm(net.a(x))), a=conv(4, 6), norm=nn.LayerNorm([6, 4, 4]), b=conv(6, 3)
        ),
        "a",
        "the step norm normalizes over the channels, so what it computes would change",
    ),
    "unknown": (
        nn.Sequential(conv(4, 6), Unknown(), conv(6, 3)),
        "0",
        "goes through roll, which is not known",
    ),
    "unknown layer": (
        nn.Sequential(conv(4, 6), nn.LocalResponseNorm(2), conv(6, 3)),
        "0",
        r"goes through 1 \(LocalResponseNorm\), which is not known here",
    ),
    "added to the input": (
        Net(lambda net, x: net.b(net.a(x) + x), a=conv(4, 4), b=conv(4, 3)),
        "a",
        "the step add joins tensors number by number",
    ),
    "adds channels": (
        Net(lambda net, x: net.a(x).mean(1), a=conv(4, 6)),
        "a",
        "the step mean adds up channels",
    ),
    "softmax": (
        Net(lambda net, x: net.b(F.softmax(net.a(x), dim=1)), a=conv(4, 6), b=conv(6, 3)),
        "a",
        "the step softmax normalizes over the channels",
    ),
    "shared": (Tied(), "a", r"the layer shares a tensor with b\.$"),
    "hooks": (hooked(), "0", r"goes through 1 \(ReLU\), which has hooks"),
    "picked": (
        Net(lambda net, x: net.b(net.a(x)[:, 2:3]), a=conv(4, 6), b=conv(1, 3)),
        "a",
        "no two that a layer reads are tied and read alike, and the only one of its kind must remain",
    ),
    "spread": (
        Net(lambda net, x: net.b(net.a(x) * net.gate(x)), a=conv(4, 6), gate=conv(4, 1), b=conv(6, 3)),
        "gate",
        "the step mul is spread over the channels of another tensor",
    ),
    "one unit": (
        Net(
            lambda net, x: net.c((t := net.a(x.flatten(2).transpose(1, 2))) @ t.transpose(1, 2) @ net.b(t)),
            a=nn.Linear(4, 6),
            b=nn.Linear(6, 5),
            c=nn.Linear(5, 3),
        ),
        "a",
        "all of them go together, and one must remain; the step matmul works on whole heads",
    ),
}


@pytest.mark.parametrize("case", [case for case in REFUSED if case != "picked"])
def test_what_cannot_be_removed_has_a_reason(case: str) -> None:
    model, path, reason = REFUSED[case]
    graph = DependencyGraph(model, EXAMPLE)
    with pytest.raises(ModelError, match=rf"^The output channels of '{path}' cannot be removed: .*{reason}"):
        graph.group_of(path)
    assert graph.explain(path).startswith(f"The output channels of '{path}' cannot be removed: ")


def test_only_the_channels_beside_a_picked_slice_are_free() -> None:
    model, path, reason = REFUSED["picked"]
    graph = DependencyGraph(model, EXAMPLE)
    assert graph.groups == ()
    with pytest.raises(ModelError, match=rf"{reason}\.$"):
        graph.group_of(path)


def test_a_path_without_channels_is_refused() -> None:
    graph = DependencyGraph(networks()["chain"], EXAMPLE)
    sentence = r"^There is no layer '2' that makes channels in this model; those that do are 0, 3\.$"
    with pytest.raises(ModelError, match=sentence):
        graph.group_of("2")


def test_wrong_example_inputs_are_refused_with_the_step() -> None:
    with pytest.raises(
        ModelError, match=r"^Sequential could not run .* stopped at the step '_0' .*: pass inputs"
    ):
        DependencyGraph(networks()["chain"], torch.zeros(1, 5, 4, 4))


class Deciding(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_data_dependent_control_flow_is_refused() -> None:
    with pytest.raises(ModelError, match=r"^Deciding cannot be traced .* may not decide by the values"):
        DependencyGraph(Deciding(), EXAMPLE)


def test_two_inputs() -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(3, 6), nn.Linear(5, 6), nn.Linear(6, 2)

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return self.c(self.a(x) + self.b(y))

    (group,) = DependencyGraph(Pair(), (torch.zeros(1, 3), torch.zeros(1, 5))).groups
    assert touched(group) == {"a": "out", "b": "out", "c": "in"}


class Several(nn.Module):
    """Results in a dict and a list, a number of channels among them."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = conv(4, 6), conv(6, 3), conv(6, 2)

    def forward(self, x: Tensor) -> dict[str, object]:
        x = F.relu(self.a(x), inplace=True)
        x -= 0.5
        return {"first": self.b(x), "others": [self.c(x), x.shape[0]]}


def test_several_results_are_proved() -> None:
    torch.manual_seed(0)
    graph = DependencyGraph(Several(), torch.randn(1, 4, 4, 4))
    assert touched(graph.groups[0]) == {"a": "out", "b": "in", "c": "in"}
    pruned = remove(graph, {"a": [2]})
    assert pruned(EXAMPLE)["others"][1] == 1


@pytest.mark.parametrize(
    "forward",
    [
        lambda net, x: net.b(net.a(x).max(1, keepdim=True).values),
        lambda net, x: net.b(net.a(x).max(1, keepdim=True)[0]),
        lambda net, x: net.b(net.a(x).split(split_size=1, dim=1)[0]),
        lambda net, x: net.b(net.a(x).mean([1], True)),
        lambda net, x: net.b(torch.sum(input=net.a(x), dim=1, keepdim=True)),
        lambda net, x: net.b(net.a(x)[:, ::6]),
        lambda net, x: net.b(net.a(x)[:, torch.tensor([2])]),
        lambda net, x: net.b(torch.einsum("nchw->nhw", net.a(x)).unsqueeze(1)),
    ],
)
def test_rare_spellings_remove_nothing_wrong(forward: Callable[[Net, Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    model = Net(forward, a=conv(4, 6), b=conv(1, 5), c=conv(5, 2)).eval()
    graph = DependencyGraph(model, EXAMPLE)
    with torch.no_grad():
        torch.testing.assert_close(graph.graph(x := torch.randn(2, 4, 4, 4)), model(x))
    for group in graph.groups:
        remove(graph, {group.name: [0]})


def test_the_graph_computes_what_the_model_does_with_its_memory() -> None:
    model = nn.Sequential(conv(4, 6), norm(6), conv(6, 3)).eval()
    graph = DependencyGraph(model, EXAMPLE).graph
    x = torch.randn(2, 4, 4, 4)
    with torch.no_grad():
        assert torch.equal(graph(x), model(x))
    assert graph.get_submodule("0").weight.data_ptr() == model[0].weight.data_ptr()
    graph(x).sum().backward()
    assert model[0].weight.grad is None
