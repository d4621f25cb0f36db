"""Channels cut out of an exported graph: by hand, against removal and export, and what is refused."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from torch import nn

from course_lib.architectures import list_zoo, load_pretrained
from course_lib.benchmarking.macs import profile_layers
from course_lib.errors import ModelError, SettingError, UnknownNameError
from course_lib.explore.channel_graph import ChannelGraph
from course_lib.explore.model_source import onnx_of
from course_lib.export.onnx_export import build_onnx
from course_lib.pruning.structure.removal import remove
from course_lib.reproducibility import seeded_torch
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from tests.pruning.structure.networks import networks

SHAPE = (4, 4, 4)


def graph_of(model: nn.Module, shape: Sequence[int] = SHAPE) -> ChannelGraph:
    return ChannelGraph(model, build_onnx(model, torch.zeros(1, *shape)), shape)


def random_choice(graph: ChannelGraph, seed: int) -> dict[str, list[int]]:
    """Any number of random channels of each group, but never all."""
    generator = np.random.default_rng(seed)
    return {
        group.name: generator.permutation(group.channels)[: generator.integers(group.channels)].tolist()
        for group in graph.groups
    }


def initializers(content: bytes) -> dict[str, np.ndarray[Any, Any]]:
    graph = onnx.load_model_from_string(content).graph
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def assert_equal_to_removal(graph: ChannelGraph, chosen: dict[str, list[int]], shape: Sequence[int]) -> None:
    pruned = remove(graph.dependencies, chosen)
    inputs = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    found = OnnxRuntime().load(graph.without(chosen)).run(inputs)
    with torch.inference_mode():
        expected = pruned(torch.from_numpy(inputs)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())
    assert graph.macs(chosen) == profile_layers(pruned, torch.zeros(1, *shape)).macs
    assert graph.params(chosen) == sum(parameter.numel() for parameter in pruned.parameters())


@pytest.fixture(scope="module")
def flat() -> ChannelGraph:
    with seeded_torch(0):
        return graph_of(nn.Sequential(nn.Conv2d(4, 3, 3), nn.Flatten(), nn.Linear(12, 5)).eval())


def test_by_hand(flat: ChannelGraph) -> None:
    whole, cut = initializers(flat.without({})), initializers(flat.without({"0": [1]}))
    np.testing.assert_array_equal(cut["0.weight"], whole["0.weight"][[0, 2]])
    np.testing.assert_array_equal(cut["0.bias"], whole["0.bias"][[0, 2]])
    np.testing.assert_array_equal(cut["2.weight"], whole["2.weight"][:, [0, 1, 2, 3, 8, 9, 10, 11]])
    np.testing.assert_array_equal(cut["2.bias"], whole["2.bias"])
    # 4 pixels · 3 filters of 36 weights, and 5 · 12; then 4 · 2 · 36 and 5 · 8.
    assert (flat.macs(), flat.macs({"0": [1]})) == (4 * 3 * 36 + 60, 4 * 2 * 36 + 40)
    assert (flat.params(), flat.params({"0": [1]})) == (3 * 37 + 65, 2 * 37 + 45)


@pytest.mark.parametrize("name", networks())
def test_each_small_network_equals_its_removal(name: str) -> None:
    with seeded_torch(0):
        graph = graph_of(networks()[name].eval())
    assert graph.groups == graph.dependencies.groups
    assert_equal_to_removal(graph, random_choice(graph, 1), SHAPE)


@pytest.mark.slow
@pytest.mark.parametrize("name", list_zoo())
def test_the_zoo_equals_its_removal(name: str) -> None:
    graph = ChannelGraph(load_pretrained(name), onnx_of(name), (1, 28, 28))
    assert graph.groups == graph.dependencies.groups
    for seed in range(3):
        assert_equal_to_removal(graph, random_choice(graph, seed), (1, 28, 28))
    chosen = random_choice(graph, 3)
    exported = build_onnx(remove(graph.dependencies, chosen), torch.zeros(1, 1, 28, 28))
    inputs = np.random.default_rng(0).normal(size=(3, 1, 28, 28)).astype(np.float32)
    found, expected = (OnnxRuntime().load(each).run(inputs) for each in (graph.without(chosen), exported))
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())


@settings(max_examples=20, deadline=None)
@given(st.sets(st.integers(0, 2), max_size=2), st.integers(0, 1000))
def test_new_values_are_put_in_before_the_cut(flat: ChannelGraph, gone: set[int], seed: int) -> None:
    values = {"2.weight": np.random.default_rng(seed).normal(size=(5, 12)).astype(np.float32)}
    both = flat.without({"0": sorted(gone)}, values)
    kept = [column for column in range(12) if column // 4 not in gone]
    np.testing.assert_array_equal(initializers(both)["2.weight"], values["2.weight"][:, kept])


def test_any_batch_size_works() -> None:
    with seeded_torch(0):
        graph = graph_of(networks()["attention"].eval())
    smaller = OnnxRuntime().load(graph.without(random_choice(graph, 3)))
    inputs = np.random.default_rng(0).normal(size=(7, *SHAPE)).astype(np.float32)
    together = smaller.run(inputs)
    alone = np.concatenate([smaller.run(inputs[i : i + 1]) for i in range(7)])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_the_model_and_the_graph_stay_as_they_are(flat: ChannelGraph) -> None:
    before = flat.without({})
    flat.without({"0": [0, 2]}, {"2.weight": np.zeros((5, 12), np.float32)})
    assert flat.without({}) == before


def test_what_does_not_exist_is_refused(flat: ChannelGraph) -> None:
    with pytest.raises(UnknownNameError, match="no group of channels called 'conv'; the known ones are 0"):
        flat.without({"conv": [0]})
    with pytest.raises(SettingError, match="All 3 channels of the group '0' would be removed"):
        flat.macs({"0": [0, 1, 2]})
    with pytest.raises(ModelError, match=r"'2.weight' have shape \(5, 8\); expected that of the whole model"):
        flat.without({}, {"2.weight": np.zeros((5, 8), np.float32)})


def test_the_export_of_another_model_is_refused() -> None:
    wide, narrow = (nn.Sequential(nn.Linear(4, n), nn.ReLU(), nn.Linear(n, 2)).eval() for n in (6, 5))
    with pytest.raises(ModelError, match=r"holds '0.weight' in shape .* pass the export of this model"):
        ChannelGraph(wide, build_onnx(narrow, torch.zeros(1, 4)), (4,))


def test_channels_that_a_file_sends_elsewhere_are_not_offered() -> None:
    class Twisted(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self[2](self[1](self[0](x)).flip(-1))

    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)).eval()
    graph = ChannelGraph(model, build_onnx(Twisted(*model), torch.zeros(1, 4)), (4,))
    assert graph.dependencies.groups
    assert graph.groups == ()


def test_a_cut_that_computes_something_else_is_refused() -> None:
    class Wrong(ChannelGraph):
        def _cut(self, *arguments: Any) -> Any:
            return super()._cut(*arguments) + 1

    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)).eval()
    with pytest.raises(
        ModelError, match=r"differs from the masked one by .* cannot be cut without an export"
    ):
        Wrong(model, build_onnx(model, torch.zeros(1, 4)), (4,))
