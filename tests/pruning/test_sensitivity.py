"""Sensitivity: one layer at a time, against models pruned by other means."""

import copy

import pytest
import torch
from torch.nn.utils import prune

from course_lib.errors import SettingError, UnknownNameError
from course_lib.pruning.importance import l2_norm
from course_lib.pruning.sensitivity import (
    LayerResult,
    channel_sensitivity,
    sensitive_layers,
    weight_sensitivity,
)
from course_lib.pruning.structure.dependency import DependencyGraph
from course_lib.training import TrainingConfig, accuracy, fit
from tests.pruning.small_nets import chain, pictures, residual


@pytest.fixture(scope="module")
def trained():
    """Return the small network after it has learnt its pictures."""
    examples = pictures()
    run = fit(chain(), examples, examples, TrainingConfig(epochs=6, batch_size=10, learning_rate=0.05))
    return run.model.to(memory_format=torch.contiguous_format)  # which torch's pruning needs


def test_sensitive_layers_by_hand():
    results = [
        LayerResult("a", 0.5, 0.88, 2.0),
        LayerResult("b", 0.25, 0.87, 3.0),
        LayerResult("b", 0.5, 0.61, 29.0),
        LayerResult("c", 0.5, 0.91, -1.0),
    ]
    assert sensitive_layers(results, 5) == ("b",)
    assert sensitive_layers(results, 0) == ("a", "b")
    with pytest.raises(SettingError) as error:
        sensitive_layers(results, -1)
    assert str(error.value) == "max_drop_pt is -1; a loss to put up with is at least 0 points."


def test_weights_agree_with_torchs_own_pruning(trained):
    examples = pictures(seed=1)
    dense = accuracy(trained, examples)
    results = list(weight_sensitivity(trained, examples, (0.5, 0.95)))
    assert [(one.layer, one.ratio) for one in results] == [
        (f"{layer}.weight", ratio) for layer in ("first", "second", "head") for ratio in (0.5, 0.95)
    ]
    for result in results:
        oracle = copy.deepcopy(trained)
        layer = oracle.get_submodule(result.layer.removesuffix(".weight"))
        prune.l1_unstructured(layer, "weight", amount=result.ratio)
        assert result.accuracy == accuracy(oracle, examples)
        assert result.drop_pt == pytest.approx(100 * (dense - result.accuracy))
    assert any(result.drop_pt != 0 for result in results)


def test_nothing_pruned_costs_nothing(trained):
    examples = pictures(seed=1)
    assert all(result.drop_pt == 0 for result in weight_sensitivity(trained, examples, (0.0,)))
    graph = DependencyGraph(trained, torch.zeros(1, 1, 8, 8))
    results = list(channel_sensitivity(graph, examples, l2_norm(graph), (0.0,)))
    assert [result.layer for result in results] == ["first", "second"]
    assert all(result.drop_pt == 0 for result in results)


def test_channels_agree_with_channels_read_as_zero(trained):
    examples = pictures(seed=1)
    graph = DependencyGraph(trained, torch.zeros(1, 1, 8, 8))
    for result in channel_sensitivity(graph, examples, l2_norm(graph), (0.5, 0.75)):
        group = graph.group_of(result.layer)
        gone = l2_norm(graph)(group).argsort()[: round(result.ratio * group.channels)].tolist()
        oracle = copy.deepcopy(trained)
        reader = group.slices[-1]
        for channel in gone:
            oracle.get_submodule(reader.path).weight.data[:, list(reader.indices[channel])] = 0
        assert result.accuracy == accuracy(oracle, examples)


def test_results_come_one_by_one_and_the_model_stays(trained):
    before = copy.deepcopy(trained.state_dict())
    results = weight_sensitivity(trained, pictures(), layers=("head.weight",))
    assert next(results).layer == "head.weight"
    results.close()
    assert all(torch.equal(value, before[name]) for name, value in trained.state_dict().items())


def test_bad_settings_are_refused():
    with pytest.raises(UnknownNameError, match=r"^There is no weight called 'hed\.weight'"):
        list(weight_sensitivity(chain(), pictures(), layers=("hed.weight",)))
    with pytest.raises(SettingError, match=r"^sparsity is 1, but it is the fraction"):
        list(weight_sensitivity(chain(), pictures(), (1,)))
    graph = DependencyGraph(residual(), torch.zeros(1, 1, 8, 8))
    with pytest.raises(SettingError, match=r"^The ratio for 'stem' is 1, but it is the fraction"):
        list(channel_sensitivity(graph, pictures(), l2_norm(graph), (1,)))
