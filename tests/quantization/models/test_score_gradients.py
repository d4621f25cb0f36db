import pytest
import torch
from torch import Tensor, nn

from course_lib.errors import ModelError
from course_lib.quantization.models.score_gradients import backward_from_scores
from course_lib.reproducibility import torch_generator


def squared_gradient(model: nn.Module, inputs: Tensor, passes: int = 1) -> Tensor:
    """Return the mean squared gradient of each input value."""
    seen: list[Tensor] = []

    class Watching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x.register_hook(lambda gradient: seen.append(gradient.square()))
            return model(x)

    generator = torch_generator(0)
    for _ in range(passes):
        backward_from_scores(Watching(), inputs, generator)
    return torch.stack(seen).mean(0)


def test_worked_value() -> None:
    model = nn.Linear(1, 2, bias=False)
    model.weight.data = torch.tensor([[2.0], [3.0]])
    squares = squared_gradient(model, torch.zeros(2000, 1))
    assert set(squares.flatten().tolist()) == {1.0, 25.0}
    assert float(squares.mean()) == pytest.approx(13, abs=1)


def test_what_the_scores_do_not_depend_on_has_no_gradient() -> None:
    model = nn.Sequential(nn.ReLU(), nn.Linear(2, 3))
    squares = squared_gradient(model, torch.tensor([[-1.0, 1.0]]))
    assert squares[0, 0] == 0
    assert squares[0, 1] > 0


def test_the_mean_is_the_squared_jacobian(network: nn.Module, images: Tensor) -> None:
    jacobian = torch.autograd.functional.jacobian(network, images[:1])  # (1, scores, 1, 1, 8, 8)
    exact = jacobian.square().sum(1)[:, 0]
    estimated = squared_gradient(network, images[:1], passes=400)
    assert float((estimated - exact).abs().sum() / exact.sum()) < 0.15


def test_the_generator_decides_the_signs(network: nn.Module, images: Tensor) -> None:
    torch.testing.assert_close(squared_gradient(network, images), squared_gradient(network, images))


class Two(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


class Constant(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.ones(len(x), 2)


@pytest.mark.parametrize(
    ("model", "inputs", "sentence"),
    [
        (
            nn.Identity(),
            torch.zeros(1, 2, dtype=torch.int64),
            r"^Inputs of the type torch\.int64 have no grad",
        ),
        (
            Two(),
            torch.zeros(1, 2),
            r"^Two gives a tuple without a gradient; the scores have to be one tensor",
        ),
        (Constant(), torch.zeros(1, 2), r"^Constant gives a Tensor without a gradient"),
    ],
)
def test_what_has_no_gradient_is_refused(model: nn.Module, inputs: Tensor, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        backward_from_scores(model, inputs, torch_generator(0))
