"""Importances: small cases by hand, against plain loops and finite differences, and what cannot be scored."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune

from course_lib.architectures.tracing import trace_steps
from course_lib.errors import DataError, ModelError
from course_lib.pruning.importance import (
    accumulated_gradient,
    bn_scale,
    l1_norm,
    l2_norm,
    mean_activation,
    random_importance,
    taylor,
)
from course_lib.pruning.structure.group import Group, Slices
from tests.pruning.small_nets import batches, chain, chain_groups, pictures


def graph_of(net, groups):
    """Stand for a dependency graph: the traced network and groups written down by hand."""
    return SimpleNamespace(graph=trace_steps(net), groups=groups)


@pytest.fixture
def graph():
    return graph_of(chain(), chain_groups())


@pytest.fixture
def small():
    """Return linear → batch norm → linear with the weights of the worked example in channel 0."""
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2)).eval()
    net[0].weight.data = torch.tensor([[1.0, -2.0], [0.0, 4.0]])
    net[1].weight.data = torch.tensor([-0.5, 2.0])
    net[2].weight.data = torch.tensor([[3.0, 1.0], [0.0, 1.0]])
    two = ((0,), (1,))
    return graph_of(
        net, (Group((Slices("0", "out", two), Slices("1", "pass", two), Slices("2", "in", two))),)
    )


def test_norms_and_scales_by_hand(small):
    (group,) = small.groups
    assert l1_norm(small)(group).tolist() == [6, 6]
    assert l2_norm(small)(group).tolist() == pytest.approx([14**0.5, 18**0.5])
    assert l1_norm(small, roles=("out",))(group).tolist() == [3, 4]
    assert bn_scale(small)(group).tolist() == [0.5, 2]


def test_activations_and_gradients_by_hand(small):
    (group,) = small.groups
    net = small.graph
    net.get_submodule("0").bias.data.zero_()
    inputs = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    norm = 1 / (1 + 1e-5) ** 0.5
    # The first layer gives [1, 0] and [-2, 4], the norm [-0.5, 0] and [1, 8].
    assert mean_activation(small, [inputs])(group).tolist() == pytest.approx([0.75 * norm, 4 * norm])

    def first_score(scores, labels, inputs):
        return scores[:, 0].mean()

    # ∂score/∂a is [3, 1]: per example a·∂ is [-1.5, 0] and [3, 8].
    found = taylor(small, [(inputs, torch.zeros(2))], first_score)(group)
    assert found.tolist() == pytest.approx([2.25 * norm, 4 * norm])
    # ∂/∂w of the last layer's first row is the mean activation, [0.25, 4]; of the first layer's rows the mean
    # input [0.5, 0.5] times scale and weight, [-1.5, 2].
    found = accumulated_gradient(small, [(inputs, torch.zeros(2))], first_score)(group)
    assert found.tolist() == pytest.approx([(1.5 + 0.25) * norm, (2 + 4) * norm])


def test_every_norm_grows_with_the_weights_it_counts(graph):
    first, second = graph.groups
    norms = (l1_norm, l2_norm)
    before = [(norm(graph)(first), norm(graph)(second)) for norm in norms]
    graph.graph.get_submodule("second").weight.data[:, 2] *= 3
    after = [(norm(graph)(first), norm(graph)(second)) for norm in norms]
    for (one, all_before), (other, all_after) in zip(before, after, strict=True):
        assert (other > one).tolist() == [False, False, True, False, False, False]
        assert (all_after > all_before).all()


@pytest.mark.parametrize(("importance", "norm"), [(l1_norm, 1), (l2_norm, 2)])
def test_filter_norms_rank_as_torchs_structured_pruning(graph, importance, norm):
    layer = chain().second
    prune.ln_structured(layer, "weight", amount=2, n=norm, dim=0)
    gone = set(torch.nonzero(layer.weight_mask.flatten(1).sum(1) == 0).flatten().tolist())
    scores = importance(graph, roles=("out",))(graph.groups[1])
    assert set(scores.argsort()[:2].tolist()) == gone


def test_norms_agree_with_a_loop(graph):
    net = chain()
    first, second = graph.groups
    weights = net.first.weight, net.second.weight, net.head.weight
    filters, readers, head = (weight.detach().numpy().astype(np.float64) for weight in weights)
    for channel in range(6):
        own = np.concatenate([filters[channel].ravel(), readers[:, channel].ravel()])
        assert l1_norm(graph)(first)[channel].item() == pytest.approx(np.linalg.norm(own, 1), rel=1e-5)
        assert l2_norm(graph)(first)[channel].item() == pytest.approx(np.linalg.norm(own), rel=1e-5)
    for channel in range(4):
        columns = head[:, 16 * channel : 16 * channel + 16].ravel()
        own = np.concatenate([readers[channel].ravel(), columns])
        assert l2_norm(graph)(second)[channel].item() == pytest.approx(np.linalg.norm(own), rel=1e-5)


def silenced(net, path, columns, share):
    """Return a copy of the network in which a layer reads these columns scaled by 1 − share."""
    changed = trace_steps(net)
    changed.get_submodule(path).weight.data[:, columns] *= 1 - share
    return changed


@pytest.mark.parametrize("place", [0, 1])
def test_taylor_is_the_slope_of_each_examples_loss(graph, place):
    net, (inputs, labels) = chain(), batches(pictures(12), 12)[0]
    part = graph.groups[place].slices[-1]
    scores = taylor(graph, [(inputs[:5], labels[:5]), (inputs[5:], labels[5:])])(graph.groups[place])
    for channel, columns in enumerate(part.indices):
        losses = [
            F.cross_entropy(
                silenced(net.double(), part.path, list(columns), share)(inputs.double()),
                labels,
                reduction="none",
            )
            for share in (-1e-5, 1e-5)
        ]
        slope = ((losses[1] - losses[0]) / 2e-5).abs().mean()
        assert scores[channel].item() == pytest.approx(slope.item(), rel=1e-3, abs=1e-6)


def test_taylor_does_not_depend_on_how_the_batches_are_cut(graph):
    examples = pictures(20)
    for group in graph.groups:
        coarse, fine = (taylor(graph, batches(examples, size))(group) for size in (20, 5))
        torch.testing.assert_close(coarse, fine)


def test_gradients_agree_with_plain_backward_passes(graph):
    net, expected = chain(), torch.zeros(4)
    for inputs, labels in batches(pictures(30)):
        net.zero_grad()
        F.cross_entropy(net(inputs), labels).backward()
        expected += net.second.weight.grad.abs().sum((1, 2, 3))
        expected += net.head.weight.grad.abs().sum(0).reshape(4, 16).sum(1)
    found = accumulated_gradient(graph, batches(pictures(30)))(graph.groups[1])
    torch.testing.assert_close(found, expected)


def test_activations_agree_with_what_the_reader_sees(graph):
    net, examples = chain(), pictures(30)
    inputs = torch.from_numpy(examples.inputs)
    with torch.no_grad():
        hidden = net.norm(net.first(inputs)).relu()
        pooled = net.pool(net.second(hidden).relu())
    importance = mean_activation(graph, inputs.split(7))
    torch.testing.assert_close(importance(graph.groups[0]), hidden.mean((0, 2, 3)))
    torch.testing.assert_close(importance(graph.groups[1]), pooled.sum((2, 3)).mean(0))


def test_random_scores_depend_on_seed_and_group_alone(graph):
    first, second = graph.groups
    scores = random_importance(graph, 1)
    assert torch.equal(scores(first), random_importance(graph, 1)(first))
    assert not torch.equal(scores(first), random_importance(graph, 2)(first))
    assert not torch.equal(scores(first)[:4], scores(second))
    assert ((scores(first) >= 0) & (scores(first) < 1)).all()


def test_the_graph_stays_as_it_was(graph):
    before = {name: value.clone() for name, value in graph.graph.state_dict().items()}
    labelled = batches(pictures(10))
    taylor(graph, labelled)
    accumulated_gradient(graph, labelled)
    mean_activation(graph, [inputs for inputs, _ in labelled])
    assert all(torch.equal(value, before[name]) for name, value in graph.graph.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in graph.graph.parameters())
    assert not any(module._forward_pre_hooks for module in graph.graph.modules())


@pytest.mark.parametrize("importance", [taylor, accumulated_gradient, mean_activation])
def test_no_data_is_refused(graph, importance):
    with pytest.raises(DataError) as error:
        importance(graph, [])
    assert str(error.value) == "There are no inputs to score the channels by; pass at least one batch."


def test_channels_without_a_batch_norm_have_no_scale(graph):
    with pytest.raises(ModelError) as error:
        bn_scale(graph)(graph.groups[1])
    assert str(error.value) == (
        "The channels of 'second' pass no batch norm with a scale; rank them by another importance, such as "
        "l1_norm(graph)."
    )
