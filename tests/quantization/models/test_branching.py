"""Branches against whole runs, on networks with shortcuts, shared layers and steps in place."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from course_lib.architectures import create_model, list_models
from course_lib.errors import ModelError, UnknownNameError
from course_lib.quantization.models.branching import BranchingModel
from course_lib.reproducibility import seeded_torch


class Worked(nn.Module):
    """The docstring's example, y = W2·relu(W1·x) + W3·x."""

    def __init__(self) -> None:
        super().__init__()
        self.w1, self.w2, self.w3 = (nn.Linear(2, 2, bias=False) for _ in range(3))

    def forward(self, x):
        return self.w2(torch.relu(self.w1(x))) + self.w3(x)


class Unusual(nn.Module):
    """A layer called twice, ReLUs that write over their input, a parameter of its own, a tensor method."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.twice = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.shift = nn.Parameter(torch.ones(1, 4, 1, 1))
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        x = self.first(x)
        y = F.relu(self.norm(self.twice(x)), inplace=True)
        y = self.twice(y) + x + self.shift
        y = F.max_pool2d(y.relu_(), kernel_size=2)
        return self.last(y.mean((2, 3)))


def make(network, seed=0):
    with seeded_torch(seed):
        return network().eval()


def other_weights(model, count=2):
    generator = torch.Generator().manual_seed(1)
    layers = BranchingModel(model).layers
    return {
        path: {key: torch.randn(layer.weight.shape, generator=generator) for key in range(count)}
        for path, layer in layers.items()
    }


def whole_run(model, path, weight, batch):
    changed = copy.deepcopy(model).eval()
    changed.get_submodule(path).weight = nn.Parameter(weight)
    with torch.inference_mode():
        return changed(batch.clone())


def branch_outputs(model, batch, weights):
    with torch.inference_mode():
        return {(path, key): output for path, key, output in BranchingModel(model).run(batch, weights)}


def assert_equals_whole_runs(model, batch):
    weights = other_weights(model)
    outputs = branch_outputs(model, batch, weights)
    with torch.inference_mode():
        assert torch.equal(outputs.pop(("", 0)), model.eval()(batch.clone()))
    assert outputs.keys() == {(path, key) for path, row in weights.items() for key in row}
    for (path, key), output in outputs.items():
        assert torch.equal(output, whole_run(model, path, weights[path][key], batch))


def test_by_hand():
    model = Worked()
    for layer, weight in zip((model.w1, model.w2, model.w3), ([1, -1], [2, 3], [0, 1]), strict=True):
        layer.weight = nn.Parameter(torch.diag(torch.tensor(weight, dtype=torch.float32)))
    x = torch.tensor([[1.0, 1.0]])  # relu(W1·x) = [1, 0], so y = [2, 0] + [0, 1]
    outputs = branch_outputs(model, x, {"w1": {0: -torch.eye(2)}, "w3": {4: torch.eye(2)}})
    assert {key: value.tolist() for key, value in outputs.items()} == {
        ("w1", 0): [[0.0, 1.0]],
        ("w3", 4): [[3.0, 1.0]],
        ("", 0): [[2.0, 1.0]],
    }


def test_the_steps_of_the_worked_example():
    branching = BranchingModel(Worked())
    steps = {path: [step.name for step in branching._branches[path].steps] for path in branching.layers}
    assert steps == {
        "w1": ["w1", "relu", "w2", "add", "output"],
        "w2": ["w2", "add", "output"],
        "w3": ["w3", "add", "output"],
    }


@pytest.mark.parametrize("name", list_models((1, 28, 28)))
def test_every_network_of_the_course_to_the_last_bit(name):
    assert_equals_whole_runs(make(lambda: create_model(name)), torch.randn(3, 1, 28, 28))


def test_shared_layers_and_steps_in_place():
    model, batch = make(Unusual), torch.randn(5, 1, 8, 8)
    before, kept = copy.deepcopy(model.state_dict()), batch.clone()
    assert_equals_whole_runs(model, batch)
    assert torch.equal(batch, kept)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert model.first[2].inplace


def test_a_value_of_the_common_run_that_a_step_changes_in_place_stays_for_the_next_branch():
    class Adds(Worked):
        def forward(self, x):
            a, b = self.w1(x), self.w2(x)
            return b.add_(self.w3(a))

    assert_equals_whole_runs(make(Adds), torch.randn(4, 2))


@settings(max_examples=20)
@given(st.integers(1, 7), st.integers(0, 2**16))
def test_any_batch_and_any_weights(images, seed):
    assert_equals_whole_runs(make(Worked, seed), torch.randn(images, 2))


def test_memory_is_that_of_a_few_values():
    """Of 30 layers in a row, a branch sees one value of the common run, and the others are gone."""
    model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(30)))
    branching = BranchingModel(model)
    sizes = []
    original = branching._run_branch

    def watch(branch, common, path, weight):
        sizes.append(len(common))
        return original(branch, common, path, weight)

    branching._run_branch = watch
    list(branching.run(torch.ones(2, 4), {path: {0: torch.eye(4)} for path in branching.layers}))
    assert sizes == [1] * 30


def test_only_the_chosen_layers():
    outputs = branch_outputs(make(Worked), torch.ones(1, 2), {"w3": {2: torch.eye(2)}})
    assert list(outputs) == [("w3", 2), ("", 0)]


# Errors


def test_unknown_layer():
    with pytest.raises(
        UnknownNameError, match="There is no layer called 'w4'; the known ones are w1, w2, w3"
    ):
        list(BranchingModel(Worked()).run(torch.ones(1, 2), {"w4": {}}))


def test_two_inputs():
    class Two(Worked):
        def forward(self, x, y):
            return self.w1(x) + self.w2(y)

    with pytest.raises(ModelError, match="Two takes 2 inputs, but here a model has one, a batch; wrap it"):
        BranchingModel(Two())


def test_a_change_in_place_that_is_read_again():
    class Reads(Worked):
        def forward(self, x):
            y = self.w1(x)
            z = y.relu_()
            return self.w2(z) + y

    with pytest.raises(ModelError, match="The step relu_ changes w1 in place although a later step reads it"):
        BranchingModel(Reads())
