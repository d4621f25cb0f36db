import pytest
import torch
from torch import nn

from course_lib.quantization import choose_qparams, quantize
from course_lib.quantization.clipping import choose_clipped_qparams
from course_lib.quantization.models.adaround import adaround
from course_lib.quantization.models.config import WeightScheme
from course_lib.quantization.models.gptq import gptq
from course_lib.quantization.models.rounding import quantize_weight


@pytest.fixture
def layer() -> nn.Linear:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Linear(6, 4)


@pytest.fixture
def inputs() -> torch.Tensor:
    return torch.randn(40, 6, generator=torch.Generator().manual_seed(1)).relu()


def test_nearest_on_either_range(layer: nn.Linear) -> None:
    for name, choose in (("minmax", choose_qparams), ("mse", choose_clipped_qparams)):
        scheme = WeightScheme(3, range=name)  # type: ignore[arg-type]
        weight, qparams = quantize_weight(layer, scheme)
        expected = choose(layer.weight, 3, symmetric=True, granularity=scheme.granularity)
        assert torch.equal(qparams.scale, expected.scale)
        assert torch.equal(quantize(weight, qparams), quantize(layer.weight.detach(), expected))
        assert not weight.requires_grad


def test_roundings_with_inputs_are_those_of_their_functions(layer: nn.Linear, inputs: torch.Tensor) -> None:
    targets = layer(inputs).detach() + 0.01
    weight, qparams = quantize_weight(layer, WeightScheme(3, rounding="gptq"), inputs=inputs)
    assert torch.equal(quantize(weight, qparams), gptq(layer, inputs, qparams))
    scheme = WeightScheme(3, rounding="adaround")
    weight, qparams = quantize_weight(layer, scheme, inputs=inputs, targets=targets, seed=5)
    assert torch.equal(quantize(weight, qparams), adaround(layer, inputs, qparams, targets=targets, seed=5))


def test_the_layer_stays_as_it_was(layer: nn.Linear, inputs: torch.Tensor) -> None:
    before = layer.weight.clone()
    for rounding in ("nearest", "gptq", "adaround"):
        quantize_weight(layer, WeightScheme(2, rounding=rounding), inputs=inputs)  # type: ignore[arg-type]
    assert torch.equal(layer.weight, before)
    assert layer.weight.requires_grad
