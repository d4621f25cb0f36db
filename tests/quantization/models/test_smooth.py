import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from course_lib.architectures import load_pretrained
from course_lib.data import load_dataset
from course_lib.errors import SettingError
from course_lib.quantization.models.capture import layer_inputs
from course_lib.quantization.models.smooth import smooth_activations


def test_worked_value() -> None:
    first, second = nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False)
    first.weight.data = torch.tensor([[16.0, 0.0], [0.0, 1.0]])
    second.weight.data = torch.tensor([[1.0, 1.0]])
    inputs = torch.eye(2)
    smoothed = smooth_activations(nn.Sequential(first, nn.ReLU(), second), inputs, strength=0.5)
    assert layer_inputs(smoothed, "2", inputs).amax(0).tolist() == [4.0, 1.0]
    assert smoothed.get_submodule("2").weight.tolist() == [[4.0, 1.0]]  # type: ignore[operator]


@settings(deadline=None, max_examples=10)
@given(st.floats(0, 1), st.integers(0, 100))
def test_the_function_stays(strength: float, seed: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        convs = (nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 2, 1, bias=False))
        model = nn.Sequential(convs[0], nn.ReLU(), convs[1], nn.ReLU(), convs[2])
        images = torch.randn(8, 1, 5, 5)
    smoothed = smooth_activations(model, images, strength=strength)
    torch.testing.assert_close(smoothed(images), model(images), rtol=1e-3, atol=1e-4)


def test_a_depthwise_layer_takes_all_of_the_spread(network: nn.Module, images: Tensor) -> None:
    sequence = nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=4))
    smoothed = smooth_activations(sequence, images)
    loudest = layer_inputs(smoothed, "2", images).amax((0, 2, 3))
    active = loudest[loudest > 0]
    torch.testing.assert_close(active, active.max().expand_as(active))


def test_a_channel_that_is_always_zero_does_no_harm(images: Tensor) -> None:
    first, second = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 1, 1)
    nn.init.constant_(first.weight, -1.0)
    nn.init.constant_(first.bias, -100.0)
    model = nn.Sequential(first, nn.ReLU(), second)
    torch.testing.assert_close(smooth_activations(model, images)(images), model(images))


def test_strength_out_of_range(network: nn.Module, images: Tensor) -> None:
    with pytest.raises(SettingError, match=r"^strength is 1\.5; expected a number from 0 to 1, such as 0\.5"):
        smooth_activations(network, images, strength=1.5)


@pytest.mark.parametrize("name", ["residual", "depthwise", "vision_transformer"])
def test_the_networks_of_the_zoo_stay_the_same(name: str) -> None:
    model = load_pretrained(name).eval()
    images = torch.from_numpy(load_dataset("fashion-mnist", "train").inputs(slice(16)))
    with torch.no_grad():
        expected = model(images)
        torch.testing.assert_close(smooth_activations(model, images)(images), expected, rtol=1e-3, atol=1e-3)
