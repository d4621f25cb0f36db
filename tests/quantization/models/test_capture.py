import pytest
import torch
from torch import Tensor, nn

from course_lib.errors import ModelError
from course_lib.quantization.models.capture import CHUNK, layer_inputs
from course_lib.quantization.models.graph import trace


def test_the_inputs_are_what_the_layers_before_give(network: nn.Module, images: Tensor) -> None:
    many = images.repeat(4, 1, 1, 1)
    assert len(many) > CHUNK
    expected = network.stem(many)  # type: ignore[operator]
    torch.testing.assert_close(layer_inputs(trace(network), "depthwise", many), expected)


def test_no_hook_stays_behind(network: nn.Module, images: Tensor) -> None:
    layer_inputs(network, "pointwise", images)
    assert network(images).shape == (48, 3)


class Skipping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x)  # type: ignore[no-any-return]


def test_a_layer_that_nothing_reaches_is_named() -> None:
    with pytest.raises(ModelError, match=r"^No calibration input reaches the layer unused; keep it in float"):
        layer_inputs(Skipping(), "unused", torch.zeros(1, 2))
