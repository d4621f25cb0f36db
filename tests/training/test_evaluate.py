from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from course_lib.architectures import create_model
from course_lib.errors import ModelError
from course_lib.training import Examples, accuracy, predict


class Answer(nn.Module):
    """Gives what a function makes of the batch."""

    def __init__(self, function: Callable[[torch.Tensor], object]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> object:
        return self.function(x)


def test_accuracy_by_hand() -> None:
    # The pictures are themselves the scores: the first, second and fourth are classified rightly.
    scores = np.array([[3, 1, 2], [0, 1, 0], [5, 4, 9], [-3, -2, -1]], np.float32)
    examples = Examples(scores.reshape(4, 1, 1, 3), np.array([0, 1, 0, 2]))
    np.testing.assert_array_equal(predict(nn.Flatten(), examples.inputs), scores)
    assert accuracy(nn.Flatten(), examples) == 0.75


@given(st.integers(0, 99), st.integers(1, 1200))
def test_every_picture_gets_its_scores_whatever_their_number_and_order(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(count, 1, 1, 2)).astype(np.float32)
    labels, order = random.integers(0, 2, count), random.permutation(count)
    np.testing.assert_array_equal(predict(nn.Flatten(), inputs), inputs.reshape(count, 2))
    shuffled = accuracy(nn.Flatten(), Examples(inputs[order], labels[order]))
    assert shuffled == accuracy(nn.Flatten(), Examples(inputs, labels))


def test_it_agrees_with_a_plain_loop() -> None:
    model = create_model("tiny")
    model(torch.randn(32, 1, 28, 28))
    inputs = np.random.default_rng(0).normal(size=(23, 1, 28, 28)).astype(np.float32)
    ours = predict(model, inputs)
    model.eval()
    with torch.no_grad():
        theirs = torch.cat([model(torch.from_numpy(picture)[None]) for picture in inputs]).numpy()
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    labels = theirs.argmax(1)
    labels[:5] = (labels[:5] + 1) % 10
    assert accuracy(model, Examples(inputs, labels)) == pytest.approx(18 / 23)


def test_half_precision_scores_become_float32() -> None:
    assert (
        predict(Answer(lambda x: x.flatten(1).half()), np.ones((2, 1, 1, 3), np.float32)).dtype == np.float32
    )


@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_left_as_it_was(fails: bool) -> None:
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Dropout(0.9), nn.Flatten(0 if fails else 1)).train()
    model[0].eval()
    state = {key: value.clone() for key, value in model.state_dict().items()}
    inputs = np.ones((3, 1, 2, 2), np.float32)
    if fails:
        with pytest.raises(ModelError):
            predict(model, inputs)
    else:
        np.testing.assert_array_equal(predict(model, inputs), predict(model, inputs))
    assert [module.training for module in model.modules()] == [True, False, True, True]
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("function", "came"),
    [
        (lambda x: x, r"has shape \(4, 1, 1, 3\)"),
        (lambda x: x.flatten(), r"has shape \(12,\)"),
        (lambda x: x.sum(), r"has shape \(\)"),
        (lambda x: x[:1].flatten(1), r"has shape \(1, 3\)"),
        (lambda x: (x, x), r"is a tuple"),
        (lambda x: {"logits": x}, r"is a dict"),
    ],
)
def test_other_outputs_are_refused(function: Callable[[torch.Tensor], object], came: str) -> None:
    with pytest.raises(
        ModelError,
        match=rf"^The model's output for 4 images {came}; expected one score a class, a tensor of shape "
        r"\(4, number of classes\)\.$",
    ):
        predict(Answer(function), np.ones((4, 1, 1, 3), np.float32))
