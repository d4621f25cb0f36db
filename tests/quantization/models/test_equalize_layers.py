import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from course_lib.quantization.models.equalize_layers import equalize_layers, neighbours
from course_lib.quantization.models.fold import fold_batch_norms
from course_lib.quantization.models.graph import trace


def test_neighbours_have_at_most_a_relu_between_and_no_other_reader(network: nn.Module) -> None:
    # The stem is read twice, and behind the pointwise layer comes a sum.
    assert list(neighbours(fold_batch_norms(trace(network)))) == [("depthwise", "pointwise")]
    bent = nn.Sequential(nn.Linear(2, 2), nn.GELU(), nn.Linear(2, 2), nn.ReLU6(), nn.Linear(2, 2))
    assert list(neighbours(trace(bent))) == []
    grouped = nn.Sequential(nn.Conv2d(2, 4, 1), nn.Conv2d(4, 4, 1, groups=2), nn.Conv2d(4, 4, 1, groups=4))
    assert list(neighbours(trace(grouped))) == [("1", "2")]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000))
def test_the_function_stays_and_the_ranges_meet(seed: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 2)]
        model, x = nn.Sequential(*layers), torch.randn(6, 3)
    equalized = equalize_layers(trace(model))
    torch.testing.assert_close(equalized(x), model(x), rtol=1e-4, atol=1e-5)
    first, second = equalized.get_submodule("0").weight, equalized.get_submodule("2").weight
    assert isinstance(first, Tensor)
    assert isinstance(second, Tensor)
    torch.testing.assert_close(first.abs().amax(1), second.abs().amax(0), rtol=0.05, atol=0.01)
