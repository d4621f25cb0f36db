import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from course_lib.explore import CompressionSetting
from course_lib.explore.compress import compress, histogram, stored_size, weights_sqnr_db
from course_lib.explore.model_source import onnx_of
from course_lib.explore.weight_graph import WeightGraph


@pytest.fixture(scope="module")
def graph(small_net: nn.Module) -> WeightGraph:
    return WeightGraph(onnx_of(small_net, (1, 8, 8)))


def test_the_dense_setting_changes_nothing(graph: WeightGraph):
    result = compress(graph, CompressionSetting())
    for name, weight in graph.weights.items():
        np.testing.assert_array_equal(result[name].values, weight.values)
    assert weights_sqnr_db(graph, result) == np.inf


def test_pruning_equals_torch(graph: WeightGraph, small_net: nn.Module):
    model = type(small_net)()
    model.load_state_dict(small_net.state_dict())
    layers = [(model.conv, "weight"), (model.classifier, "weight")]
    prune.global_unstructured(layers, pruning_method=prune.L1Unstructured, amount=0.4)
    result = compress(graph, CompressionSetting(sparsity=0.4))
    np.testing.assert_array_equal(result["conv.weight"].values, model.conv.weight.detach().numpy())
    np.testing.assert_array_equal(
        result["classifier.weight"].values, model.classifier.weight.detach().numpy()
    )


def test_quantizing_equals_torch(graph: WeightGraph):
    weight = torch.tensor(graph.weights["classifier.weight"].values)
    scale = weight.abs().amax(1) / 7
    expected = torch.fake_quantize_per_channel_affine(
        weight, scale, torch.zeros(3, dtype=torch.int32), 0, -7, 7
    )
    result = compress(graph, CompressionSetting(bits=4))
    np.testing.assert_allclose(result["classifier.weight"].values, expected.numpy(), atol=1e-7)


def test_pruned_weights_stay_zero_when_quantized(graph: WeightGraph):
    for symmetric in (True, False):
        pruned = compress(graph, CompressionSetting(sparsity=0.5))
        both = compress(graph, CompressionSetting(0.5, 3, symmetric, per_channel=False))
        for name in graph.weights:
            assert not both[name].values[pruned[name].values == 0].any()


def test_stored_size_worked_by_hand(graph: WeightGraph):
    # 54 + 648 weights and 33 other numbers; at 8 bits one byte a weight and 4 a scale, of which 6 + 3.
    assert stored_size(graph, compress(graph, CompressionSetting())) == 4 * (54 + 648 + 33)
    assert stored_size(graph, compress(graph, CompressionSetting(bits=8))) <= 54 + 648 + 4 * 9 + 4 * 33


def test_stored_size_falls_with_sparsity(graph: WeightGraph):
    sizes = [stored_size(graph, compress(graph, CompressionSetting(s / 10, 8))) for s in range(10)]
    assert sizes == sorted(sizes, reverse=True)


def test_histogram_counts_every_weight_once(graph: WeightGraph):
    result = compress(graph, CompressionSetting(0.3, 4))
    shown = histogram(graph, result, "classifier.weight")
    assert sum(shown.counts) + shown.zeros == 648
    assert len(shown.edges) == len(shown.counts) + 1
    assert shown.zeros == int((result["classifier.weight"].values == 0).sum())


def test_the_grid_holds_the_values_of_its_channel(graph: WeightGraph):
    result = compress(graph, CompressionSetting(bits=4))["classifier.weight"]
    shown = histogram(graph, {"classifier.weight": result}, "classifier.weight")
    widest = int(np.abs(graph.weights["classifier.weight"].values).max(1).argmax())
    assert shown.grid_scope == f"channel {widest}, which has the widest range"
    values = np.unique(result.values[widest])
    assert np.abs(values[:, None] - np.array(shown.grid)).min(1).max() < 1e-6


def test_floating_point_has_no_grid(graph: WeightGraph):
    shown = histogram(graph, compress(graph, CompressionSetting(0.2)), "conv.weight")
    assert shown.grid == ()
