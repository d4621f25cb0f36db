"""Weights held at zero: through training, momentum and weight decay, and as ordinary weights afterwards."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from course_lib.errors import ModelError, UnknownNameError
from course_lib.pruning import magnitude_masks
from course_lib.pruning.masked import bake_masks, hold_masks, prunable_weights
from course_lib.training import TrainingConfig, fit
from tests.pruning.small_nets import chain, pictures


def test_a_step_by_hand():
    layer = nn.Linear(2, 1, bias=False)
    nn.init.constant_(layer.weight, 1.0)
    layer.weight.data[0, 0] = 3.0
    held = hold_masks(layer, {"weight": torch.tensor([[1.0, 0.0]])})
    held(torch.ones(1, 2)).sum().backward()
    torch.optim.SGD(held.parameters(), lr=1.0).step()
    assert bake_masks(held).weight.tolist() == [[2.0, 0.0]]
    assert layer.weight.tolist() == [[3.0, 1.0]]


def test_linear_and_convolutional_weights_are_listed_once():
    net = chain()
    assert list(prunable_weights(net)) == ["first.weight", "second.weight", "head.weight"]
    assert not any(weight.requires_grad for weight in prunable_weights(net).values())
    twice = nn.Linear(3, 3)
    assert list(prunable_weights(nn.Sequential(twice, nn.ReLU(), twice))) == ["0.weight"]
    assert list(prunable_weights(nn.Linear(2, 2))) == ["weight"]
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    assert list(prunable_weights(tied)) == ["0.weight"]


def test_weights_that_are_worked_out_anew_are_listed_too():
    """A freed tensor's identity goes to the next one; 20 layers in a row meet that in every run."""
    net = nn.Sequential(*[nn.Linear(3, 3) for _ in range(20)])
    names = list(prunable_weights(net))
    held = hold_masks(net, {name: torch.eye(3) for name in names})
    assert list(prunable_weights(held)) == names
    assert all(torch.equal(weight, weight * torch.eye(3)) for weight in prunable_weights(held).values())
    normed = nn.Sequential(*[nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)) for _ in range(20)])
    assert list(prunable_weights(normed)) == names


def test_a_masked_layer_with_a_shared_weight_counts_once():
    layer = nn.Linear(3, 3)
    held = hold_masks(nn.Sequential(layer, nn.ReLU(), layer), {"0.weight": torch.eye(3)})
    assert list(prunable_weights(held)) == ["0.weight"]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_pruned_weights_stay_zero_while_the_others_train(optimizer):
    net, examples = chain(), pictures()
    masks = magnitude_masks(prunable_weights(net), 0.7)
    config = TrainingConfig(
        epochs=2, batch_size=10, optimizer=optimizer, learning_rate=0.05, averaging=0.8, weight_decay=0.1
    )
    trained = bake_masks(fit(hold_masks(net, masks), examples, examples, config).model)
    assert list(trained.state_dict()) == list(net.state_dict())
    assert type(trained.first) is nn.Conv2d
    for name, weight in prunable_weights(trained).items():
        assert (weight[~masks[name]] == 0).all()
        assert weight.is_contiguous()
        before = prunable_weights(net)[name]
        assert (weight[masks[name]] != before[masks[name]]).any()


def test_the_model_given_stays_as_it_was():
    net = chain()
    before = copy.deepcopy(net.state_dict())
    held = hold_masks(net, {"first.weight": torch.zeros(6, 1, 3, 3)})
    baked = bake_masks(held)
    assert (held.first.weight == 0).all()
    assert (baked.first.weight == 0).all()
    assert bake_masks(held) is not baked
    assert list(net.state_dict()) == list(before)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_the_outputs_are_those_of_torchs_own_pruning():
    net, inputs = chain(), torch.from_numpy(pictures().inputs)
    masks = magnitude_masks(prunable_weights(net), 0.6)
    held, oracle = hold_masks(net, masks), copy.deepcopy(net)
    for name in ("first", "second", "head"):
        prune.custom_from_mask(oracle.get_submodule(name), "weight", masks[f"{name}.weight"])
    assert torch.equal(held(inputs), oracle(inputs))
    assert torch.equal(bake_masks(held)(inputs), oracle(inputs))


def test_bad_masks_are_refused():
    net = chain()
    with pytest.raises(UnknownNameError, match=r"^There is no parameter called 'frist\.weight'; .* Did you"):
        hold_masks(net, {"frist.weight": torch.ones(1)})
    with pytest.raises(ModelError, match=r"^A mask of shape \(1,\) does not fit a weight of shape"):
        hold_masks(net, {"first.weight": torch.ones(1)})
    tied = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    with pytest.raises(ModelError) as error:
        hold_masks(tied, {"0.weight": torch.eye(3)})
    assert str(error.value) == (
        "The layers '0', '1' share '0.weight', and a mask would hold it in the first of them only; give each "
        "layer a weight of its own, or leave this one out of the masks."
    )
    held = hold_masks(net, {"head.weight": torch.ones(2, 64)})
    with pytest.raises(ModelError) as error:
        hold_masks(held, {})
    assert str(error.value) == ("This Chain holds masks already; call bake_masks(model) before new ones.")


def test_other_parametrizations_are_not_baked_away():
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    with pytest.raises(ModelError) as error:
        bake_masks(nn.Sequential(layer))
    assert str(error.value) == (
        "bake_masks found a weight that something else than a mask is computing; finish that first."
    )
