"""Fisher scores by hand, against autograd image by image, and against the exact analysis."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

from course_lib.architectures import create_model, load_pretrained
from course_lib.data import load_dataset
from course_lib.errors import DataError, ModelError, SettingError
from course_lib.quantization.models.fisher import fisher_scores
from course_lib.quantization.models.layerwise import nearest_per_channel
from course_lib.quantization.models.sensitivity import layer_sensitivity
from course_lib.reproducibility import seeded_torch
from course_lib.training.evaluate import Examples


class Varied(nn.Module):
    """Groups, strides, dilation, unusual padding, a layer called twice, a ReLU in place, tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.reflected = nn.Conv2d(1, 4, 3, padding=1, padding_mode="reflect")
        self.grouped = nn.Conv2d(4, 4, (3, 1), stride=2, padding=(2, 0), dilation=(2, 1), groups=2)
        self.twice = nn.Conv2d(4, 4, 2, padding="same")
        self.tokens = nn.Linear(4, 3)

    def forward(self, x):
        x = self.grouped(self.reflected(x).relu_())
        x = self.twice(torch.tanh(self.twice(x)))
        return self.tokens(x.flatten(2).transpose(1, 2)).mean(1)


def random_examples(count, shape, classes, seed=0):
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(count, *shape)).astype(np.float32)
    return Examples(inputs, generator.integers(0, classes, count))


def gradients_by_vmap(model, examples):
    """Return path → gradient of each image's loss, by torch.func."""
    model = copy.deepcopy(model).eval()
    parameters = {name: value.detach() for name, value in model.named_parameters()}
    buffers = dict(model.named_buffers())

    def loss(values, image, label):
        scores = functional_call(model, (values, buffers), (image[None],))
        return F.cross_entropy(scores, label[None])

    inputs, labels = map(torch.from_numpy, examples)
    each = vmap(grad(loss), (None, 0, 0))(parameters, inputs, labels)
    return {name.removesuffix(".weight"): value.flatten(1) for name, value in each.items()}


def assert_equals_autograd(model, examples, bits, batch_size=40):
    each = gradients_by_vmap(model, examples)
    scores = fisher_scores(model, examples, bits, curvature_share=1.0, batch_size=batch_size)
    assert scores
    for score in scores:
        weight = model.get_submodule(score.layer).weight.detach()
        change = (nearest_per_channel(weight, score.bits) - weight).flatten()
        along = each[score.layer] @ change
        assert score.linear == pytest.approx(float(along.mean()), rel=1e-3, abs=1e-6)
        assert score.quadratic == pytest.approx(float(along.square().mean() / 2), rel=1e-3, abs=1e-8)
        diagonal = float(each[score.layer].square().mean(0) @ change.square() / 2)
        assert score.diagonal == pytest.approx(diagonal, rel=1e-3, abs=1e-8)


def test_by_hand():
    # 2 bits: each row becomes [1, 0]; equal scores, so softmax - one-hot = [-1/2, 1/2]
    model = nn.Sequential(nn.Linear(2, 2, bias=False))
    model[0].weight = nn.Parameter(torch.tensor([[1.0, 0.25], [1.0, 0.25]]))
    examples = Examples(np.array([[1.0, 2.0]], np.float32), np.array([0]))
    (score,) = fisher_scores(model, examples, [2])
    # g = [[-1/2, -1], [1/2, 1]] and the change is -1/4 in the second column: g·Δ = 1/4 - 1/4 = 0
    assert (score.layer, score.bits) == ("0", 2)
    assert (score.linear, score.quadratic, score.loss_increase) == (0.0, 0.0, 0.0)
    assert score.diagonal == pytest.approx((1 + 1) / 16 / 2)
    model[0].weight = nn.Parameter(torch.tensor([[1.0, 0.25], [1.5, 0.0]]))
    (score,) = fisher_scores(model, examples, [2])
    # scores are 1.5 and 1.5 again, but only the first row changes, by [0, -1/4]: g·Δ = 1/4
    assert score.linear == pytest.approx(1 / 4)
    assert score.quadratic == pytest.approx(1 / 32)
    assert score.loss_increase == pytest.approx(9 / 32)


@pytest.mark.parametrize("batch_size", [3, 40])
def test_against_autograd(batch_size):
    with seeded_torch(0):
        model = Varied()
    assert_equals_autograd(model, random_examples(8, (1, 9, 8), 3), (2, 5), batch_size)


@pytest.mark.parametrize("name", ["tiny", "vision_transformer"])
def test_networks_of_the_course_against_autograd(name):
    with seeded_torch(0):
        model = create_model(name)
    assert_equals_autograd(model, random_examples(4, (1, 28, 28), 10), (3,))


@settings(max_examples=20)
@given(st.integers(0, 2**16), st.floats(0.1, 1.0))
def test_parts_are_what_their_names_say(seed, share):
    with seeded_torch(seed):
        model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 3))
    examples = random_examples(7, (3,), 3, seed)
    part = fisher_scores(model, examples, (2, 4), curvature_share=share)
    for score, other in zip(part, fisher_scores(model, examples, (2, 4), curvature_share=1.0), strict=True):
        assert score.quadratic >= 0
        assert score.diagonal >= 0
        assert score.quadratic <= other.quadratic * (1 + 1e-5) + 1e-12  # a sum of fewer squares
        assert score.linear == pytest.approx(other.linear, abs=1e-6)
        # the mean of squares is at least the square of the mean
        assert 2 * other.quadratic >= other.linear**2 - 1e-6


def test_a_small_change_is_predicted():
    """With a change a thousand times smaller the expansion's first terms are all there is."""
    with seeded_torch(0):
        model = create_model("tiny").eval().double()
    inputs, labels = random_examples(6, (1, 28, 28), 10)
    examples = Examples(inputs.astype(np.float64), labels)

    def hardly(weight, bits):
        return weight + 1e-4 * (nearest_per_channel(weight, bits) - weight)

    exact = layer_sensitivity(model, examples, (2,), scheme=hardly)
    for row, score in zip(exact.rows, fisher_scores(model, examples, (2,), scheme=hardly), strict=True):
        assert score.layer == row.layer
        assert score.linear == pytest.approx(row.loss_increase, rel=0.05, abs=1e-8)


@pytest.mark.slow
def test_the_ranks_of_a_trained_network():
    from scipy.stats import spearmanr

    dataset = load_dataset("fashion-mnist", "train").take(slice(0, 200))
    examples, model = Examples(dataset.all_inputs, dataset.labels), load_pretrained("tiny")
    exact = layer_sensitivity(model, examples, (5, 6, 8))
    scores = fisher_scores(model, examples, (5, 6, 8))
    increases = [row.loss_increase for row in exact.rows]
    assert spearmanr(increases, [score.loss_increase for score in scores]).statistic > 0.9
    divergences = [row.divergence for row in exact.rows]
    assert spearmanr(divergences, [score.quadratic for score in scores]).statistic > 0.9


def test_the_model_stays_as_it_is():
    model = create_model("tiny").train()
    fisher_scores(model, random_examples(2, (1, 28, 28), 10), (2,))
    assert model.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


def test_chosen_layers_and_progress():
    shares = []
    scores = fisher_scores(
        create_model("tiny"),
        random_examples(5, (1, 28, 28), 10),
        (2, 3),
        layers=["classifier"],
        batch_size=2,
        on_progress=shares.append,
    )
    assert [(score.layer, score.bits) for score in scores] == [("classifier", 2), ("classifier", 3)]
    assert shares == [0.4, 0.8, 1.0]


# Errors


@pytest.mark.parametrize("share", [0, 1.5, math.nan])
def test_a_share_that_is_none(share):
    with pytest.raises(SettingError, match=r"curvature_share=.* is outside \(0, 1\]; pass the share of the"):
        fisher_scores(create_model("tiny"), random_examples(2, (1, 28, 28), 10), curvature_share=share)


def test_no_images():
    with pytest.raises(DataError, match="hold 0 inputs and 0 labels"):
        fisher_scores(create_model("tiny"), random_examples(0, (1, 28, 28), 10))


def test_rows_that_belong_to_no_image():
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x):
            return x + self.layer(x.mean(0, keepdim=True))

    with pytest.raises(
        ModelError, match=r"layer layer is called with an input of shape \(1, 2\) for 4 images"
    ):
        fisher_scores(Odd(), random_examples(4, (2,), 2), (2,))
