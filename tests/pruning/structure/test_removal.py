"""Removal: by hand, proved on every small network and on random ones, against torch's own pruning masks."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import prune

from course_lib.architectures import create_model, list_models
from course_lib.errors import ModelError, SettingError, UnknownNameError
from course_lib.pruning.structure.dependency import DependencyGraph
from course_lib.pruning.structure.proof import TOLERANCE, prove
from course_lib.pruning.structure.removal import remove
from tests.pruning.structure.networks import Net, conv, networks, norm


def chosen_at(graph: DependencyGraph, ratio: float, seed: int = 0) -> dict[str, list[int]]:
    """Return random channels of every group, at least one and never all."""
    generator = torch.Generator().manual_seed(seed)
    counts = {
        group.name: min(max(1, int(ratio * group.channels)), group.channels - 1) for group in graph.groups
    }
    return {
        group.name: torch.randperm(group.channels, generator=generator)[: counts[group.name]].tolist()
        for group in graph.groups
    }


def seeded(name: str) -> nn.Module:
    torch.manual_seed(0)
    return networks()[name].eval()


def parameters(model: nn.Module) -> int:
    return sum(tensor.numel() for tensor in model.parameters())


def test_by_hand() -> None:
    model = nn.Sequential(nn.Linear(1, 3), nn.ReLU(), nn.Linear(3, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0], [2.0], [3.0]]))
        model[0].bias.copy_(torch.tensor([0.1, 0.2, 0.3]))
        model[2].weight.copy_(torch.tensor([[10.0, 20.0, 30.0]]))
    pruned = remove(DependencyGraph(model, torch.ones(1, 1)), {"0": [1]})
    assert pruned.get_submodule("0").weight.tolist() == [[1.0], [3.0]]
    assert pruned.get_submodule("0").bias.tolist() == pytest.approx([0.1, 0.3])
    assert pruned.get_submodule("2").weight.tolist() == [[10.0, 30.0]]
    assert str(pruned.get_submodule("0")) == "Linear(in_features=1, out_features=2, bias=True)"


@pytest.mark.parametrize("name", networks())
def test_small_networks_are_proved(name: str) -> None:
    model = seeded(name)
    graph = DependencyGraph(model, torch.randn(1, 4, 4, 4))
    assert graph.groups
    chosen = chosen_at(graph, 0.5)
    pruned = remove(graph, chosen)
    assert parameters(pruned) < parameters(graph.graph)
    # another batch size and other numbers than those of the proof in the library
    assert prove(graph, chosen, pruned, torch.randn(3, 4, 4, 4)).max_rel_diff <= TOLERANCE
    # the masked model is not the whole model: the channels did something
    with torch.no_grad():
        assert not torch.allclose(pruned(x := torch.randn(2, 4, 4, 4)), model(x), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", networks())
def test_each_channel_alone_is_proved(name: str) -> None:
    graph = DependencyGraph(seeded(name), torch.randn(2, 4, 4, 4))
    for group in graph.groups:
        for channel in {0, group.channels - 1}:
            pruned = remove(graph, {group.name: [channel]}, check=False)
            assert prove(graph, {group.name: [channel]}, pruned, torch.randn(2, 4, 4, 4)).holds


@pytest.mark.parametrize("name", networks())
def test_a_pruned_model_can_be_pruned_again(name: str) -> None:
    graph = DependencyGraph(seeded(name), torch.randn(1, 4, 4, 4))
    again = DependencyGraph(remove(graph, chosen_at(graph, 0.25)), torch.randn(1, 4, 4, 4))
    chosen = chosen_at(again, 0.25)
    assert prove(again, chosen, remove(again, chosen, check=False), torch.randn(2, 4, 4, 4)).holds


@pytest.mark.parametrize("name", list_models((1, 28, 28)))
@pytest.mark.slow
def test_the_zoo_is_proved(name: str) -> None:
    torch.manual_seed(0)
    graph = DependencyGraph(create_model(name).eval(), torch.randn(1, 1, 28, 28))
    for ratio in (0.25, 0.5):
        pruned = remove(graph, chosen_at(graph, ratio), inputs=[torch.rand(2, 1, 28, 28)])
        assert parameters(pruned) < parameters(graph.graph)


@pytest.mark.parametrize("name", networks())
def test_the_given_model_is_left_as_it_was(name: str) -> None:
    model = seeded(name).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    pruned = remove(graph := DependencyGraph(model, torch.randn(1, 4, 4, 4)), chosen_at(graph, 0.5))
    with torch.no_grad():
        for tensor in [*pruned.parameters(), *pruned.buffers()]:
            tensor.zero_()
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_torch_prunes_to_the_same_result() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(conv(4, 6), norm(6), nn.ReLU(), conv(6, 3)).eval()
    pruned = remove(DependencyGraph(model, x := torch.randn(2, 4, 4, 4)), {"0": [1, 4]})
    mask = torch.ones_like(model[3].weight)
    mask[:, [1, 4]] = 0
    prune.custom_from_mask(model[3], "weight", mask)
    with torch.no_grad():
        torch.testing.assert_close(pruned(x), model(x), rtol=1e-5, atol=1e-6)


def test_requires_grad_and_training_work_after_removal() -> None:
    model = seeded("residual")
    model.a.weight.requires_grad_(False)
    pruned = remove(graph := DependencyGraph(model, torch.randn(1, 4, 4, 4)), chosen_at(graph, 0.5))
    assert not pruned.training
    assert not pruned.get_submodule("a").weight.requires_grad
    pruned.train()(torch.randn(2, 4, 4, 4)).sum().backward()
    assert pruned.get_submodule("b").weight.grad is not None


branches = st.sampled_from(["residual", "concat", "depthwise", "grouped", "gate", "chunk", "shuffle", "norm"])


@pytest.mark.slow
@given(st.lists(branches, min_size=1, max_size=4), st.floats(0.1, 0.9), st.integers(0, 999))
@settings(max_examples=40)
def test_random_graphs_are_proved(kinds: list[str], ratio: float, seed: int) -> None:
    torch.manual_seed(seed)
    layers: dict[str, nn.Module] = {"first": conv(4, 8), "last": nn.Linear(8, 3)}
    parts: list[Callable[[Net, Tensor], Tensor]] = []
    for number, kind in enumerate(kinds):
        name = f"part{number}"
        match kind:
            case "residual":
                layers[name] = conv(8, 8)
                parts.append(lambda net, x, name=name: x + torch.relu(net.get_submodule(name)(x)))
            case "concat":
                layers[name] = conv(8, 5)
                layers[name + "_mix"] = conv(13, 8)
                parts.append(
                    lambda net, x, name=name: net.get_submodule(name + "_mix")(
                        torch.cat([net.get_submodule(name)(x), x], 1)
                    )
                )
            case "depthwise":
                layers[name] = conv(8, 8, 8)
                parts.append(lambda net, x, name=name: net.get_submodule(name)(x))
            case "grouped":
                layers[name] = conv(8, 8, 2)
                parts.append(lambda net, x, name=name: net.get_submodule(name)(x))
            case "gate":
                layers[name] = nn.Conv2d(8, 8, 1)
                parts.append(
                    lambda net, x, name=name: (
                        x * net.get_submodule(name)(x.mean((2, 3), keepdim=True)).sigmoid()
                    )
                )
            case "chunk":
                layers[name] = conv(4, 4)
                parts.append(
                    lambda net, x, name=name: torch.cat(
                        [(halves := x.chunk(2, 1))[1], net.get_submodule(name)(halves[0])], 1
                    )
                )
            case "shuffle":
                layers[name] = nn.ChannelShuffle(2)
                parts.append(lambda net, x, name=name: net.get_submodule(name)(x))
            case "norm":
                layers[name] = norm(8)
                parts.append(lambda net, x, name=name: torch.relu(net.get_submodule(name)(x)))

    def forward(net: Net, x: Tensor) -> Tensor:
        x = net.first(x)
        for part in parts:
            x = part(net, x)
        return net.last(x.mean((2, 3)))

    graph = DependencyGraph(Net(forward, **layers).eval(), torch.randn(1, 4, 4, 4))
    chosen = chosen_at(graph, ratio, seed)
    assert prove(graph, chosen, remove(graph, chosen, check=False), torch.randn(3, 4, 4, 4)).holds


# What is refused


@pytest.fixture(scope="module")
def graph() -> DependencyGraph:
    return DependencyGraph(seeded("chain"), torch.randn(1, 4, 4, 4))


def test_everything_removed_is_refused(graph: DependencyGraph) -> None:
    sentence = (
        r"^All 6 channels of the group '0' would be removed; leave at least one, for example by a lower"
    )
    with pytest.raises(SettingError, match=sentence):
        remove(graph, {"0": range(6)})


@pytest.mark.parametrize("channel", [6, -1])
def test_a_channel_that_does_not_exist_is_refused(graph: DependencyGraph, channel: int) -> None:
    sentence = rf"^The group '0' has no channel {channel}; expected channels from 0 to 5\.$"
    with pytest.raises(SettingError, match=sentence):
        remove(graph, {"0": [0, channel]})


def test_an_unknown_group_is_refused(graph: DependencyGraph) -> None:
    with pytest.raises(
        UnknownNameError, match=r"^There is no group of channels called '3'; the known ones are 0"
    ):
        remove(graph, {"3": [0]})


def test_a_number_of_channels_that_is_computed_with_is_refused() -> None:
    torch.manual_seed(0)
    model = Net(lambda net, x: net.b((y := net.a(x)) / y.shape[1]), a=conv(4, 6), b=conv(6, 3))
    graph = DependencyGraph(model, torch.randn(1, 4, 4, 4))
    with pytest.raises(
        ModelError, match=r"^The pruned model differs from the masked one by .* so it is not used"
    ):
        remove(graph, {"a": [0]})


def test_nothing_chosen_gives_an_equal_model(graph: DependencyGraph) -> None:
    same = remove(graph, {"0": []})
    assert parameters(same) == parameters(graph.graph)
