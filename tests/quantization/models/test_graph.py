import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.architectures import create_model, list_models
from course_lib.errors import ModelError
from course_lib.quantization.models.graph import trace, weight_layers


class Small(nn.Module):
    """Two convolutions around a sum, a linear layer that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU())
        self.second = nn.Conv2d(4, 4, 1)
        self.mix = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x = F.relu(x + self.second(x))
        return self.mix(self.mix(x.mean((2, 3))) + 1)


@pytest.mark.parametrize("name", list_models((1, 28, 28)))
def test_every_network_of_the_registry_is_traced_and_computes_the_same(name: str) -> None:
    model = create_model(name).eval()
    x = torch.randn(3, 1, 28, 28)
    traced = trace(model)
    torch.testing.assert_close(traced(x), model(x))
    named = {path for path, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)}
    assert set(weight_layers(traced)) == named


def test_layers_keep_their_paths_and_come_in_the_order_of_execution() -> None:
    model = Small()
    assert list(weight_layers(model)) == ["first.0", "second", "mix"]
    assert isinstance(weight_layers(trace(model))["mix"], nn.Linear)


def test_a_single_layer_is_a_model_too() -> None:
    layer = nn.Linear(3, 2)
    x = torch.randn(4, 3)
    torch.testing.assert_close(trace(layer)(x), layer(x))


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 3))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.LSTM(3, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(x)[0]


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (Functional(), r"^Functional calls torch\.nn\.functional\.linear with a weight of its own"),
        (Recurrent(), r"^The layer encoder\.0 of Recurrent is of the type LSTM, which cannot be quantized"),
    ],
)
def test_what_cannot_be_a_graph_is_named(model: nn.Module, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        trace(model)
