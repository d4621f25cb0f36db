import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import Tensor, nn

from course_lib.architectures import load_pretrained
from course_lib.data import load_dataset
from course_lib.errors import DataError, SettingError
from course_lib.quantization.error import sqnr_db
from course_lib.quantization.models.balance import ActivationStatistics, WeightStatistics, balance_channels
from course_lib.quantization.models.config import ActivationScheme, QuantizationConfig, WeightScheme
from course_lib.quantization.models.ptq import quantize_model
from course_lib.training.evaluate import predict

WORKED = ActivationStatistics(torch.tensor([16.0, 1.0]), torch.zeros(2), torch.tensor([1.0, 16.0]))


def test_worked_value() -> None:
    unscaled, balanced = WORKED.noise(torch.ones(2)), WORKED.noise(torch.tensor([16.0, 1.0]))
    assert float(unscaled) == pytest.approx(16**2 * 17 / 255**2)
    assert float(unscaled / balanced) == pytest.approx(16)


def test_noise_of_weights_by_hand() -> None:
    weight = WeightStatistics(torch.tensor([[1.0, 2.0]]), torch.tensor([[4.0, 9.0]]))
    # One output channel: the step is 2 · 3 / 127, and the gradients count 4 / 1 + 9 / 9.
    assert float(weight.noise(torch.tensor([1.0, 3.0]))) == pytest.approx((6 / 127) ** 2 * 5)


def test_the_network_of_the_worked_example_is_balanced() -> None:
    first, second = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    first.weight.data = torch.tensor([[16.0, 0.0], [0.0, 1.0]])
    second.weight.data = torch.tensor([[1.0, 0.0], [0.0, 4.0]])
    balanced = balance_channels(nn.Sequential(first, nn.ReLU(), second), torch.eye(2), weight_noise=0)
    made = balanced.get_submodule("0").weight.detach().diagonal()  # type: ignore[operator]
    assert float(made[0] / made[1]) == pytest.approx(1, rel=0.05)


@settings(deadline=None, max_examples=5)
@given(st.floats(0, 2), st.integers(0, 100))
def test_the_function_stays(weight_noise: float, seed: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        convs = (nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 2, 1, bias=False))
        model = nn.Sequential(convs[0], nn.ReLU(), convs[1], nn.ReLU(), convs[2])
        images = torch.randn(8, 1, 5, 5)
    balanced = balance_channels(model, images, weight_noise=weight_noise)
    torch.testing.assert_close(balanced(images), model(images), rtol=1e-3, atol=1e-4)


def test_scipy_finds_no_less_noise(images: Tensor) -> None:
    """The same sum, minimized by another method from many starts, on the gradients of a linear network."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first, second = nn.Linear(3, 4, bias=False), nn.Linear(4, 2, bias=False)
    first.weight.data *= torch.tensor([[8.0], [1.0], [0.2], [3.0]])
    inputs = images[:, 0, :1, :3].flatten(1)
    reached = (inputs @ first.weight.T).detach()
    high, low = reached.amax(0).clamp(min=0), reached.amin(0).clamp(max=0)
    tensor = ActivationStatistics(high, low, second.weight.detach().square().sum(0))

    def noise(logarithm: np.ndarray) -> float:
        return float(tensor.noise(torch.from_numpy(np.exp(logarithm))).log())

    starts = np.random.default_rng(0).normal(size=(20, 4))
    best = min(float(minimize(noise, start, method="Nelder-Mead").fun) for start in starts)
    balanced = balance_channels(nn.Sequential(first, second), inputs, weight_noise=0)
    factors = first.weight.detach()[:, 0] / balanced.get_submodule("0").weight[:, 0]  # type: ignore[index]
    assert noise(np.log(factors.detach().numpy())) < best + 0.05


def test_channels_that_are_always_zero_do_no_harm(images: Tensor) -> None:
    first, second = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 1, 1)
    nn.init.constant_(first.weight, -1.0)
    nn.init.constant_(first.bias, -100.0)
    model = nn.Sequential(first, nn.ReLU(), second)
    torch.testing.assert_close(balance_channels(model, images)(images), model(images))


def test_bad_settings_and_no_inputs(network: nn.Module, images: Tensor) -> None:
    with pytest.raises(SettingError, match=r"^weight_noise is -1; expected a share of 0 or more"):
        balance_channels(network, images, weight_noise=-1)
    with pytest.raises(DataError, match=r"^No inputs came to balance the channels with"):
        balance_channels(network, images[:0])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["residual", "depthwise", "vision_transformer"])
def test_the_scores_of_the_zoo_suffer_less(name: str) -> None:
    model = load_pretrained(name).eval()
    images = torch.from_numpy(load_dataset("fashion-mnist", "train").inputs(slice(256)))
    held_out = load_dataset("fashion-mnist", "validation").inputs(slice(256))
    expected = predict(model, held_out)
    balanced = balance_channels(model, images)
    assert sqnr_db(expected, predict(balanced, held_out)) > 90

    def rounded(network: nn.Module, by_gradient: bool) -> float:
        config = QuantizationConfig(WeightScheme(16), ActivationScheme(by_gradient=by_gradient))
        return sqnr_db(expected, predict(quantize_model(network, images.split(64), config), held_out))

    assert rounded(balanced, True) > rounded(model, False)
