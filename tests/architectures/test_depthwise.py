import pytest
import torch

from course_lib.architectures import create_model
from course_lib.architectures.depthwise import SeparableNet


def test_the_network_halves_where_its_strides_say() -> None:
    net = SeparableNet(6, ((8, 1), (10, 2)), num_classes=3)
    seen = []
    net.blocks.register_forward_hook(
        lambda module, inputs, output: seen.extend([inputs[0].shape, output.shape])
    )
    assert net(torch.zeros(2, 1, 28, 28)).shape == (2, 3)
    assert [tuple(shape) for shape in seen] == [(2, 6, 14, 14), (2, 10, 7, 7)]
    with pytest.raises(RuntimeError, match="to have 1 channels, but got 3 channels"):
        net(torch.zeros(2, 3, 28, 28))


def test_a_stem_of_stride_one_keeps_the_resolution() -> None:
    net = SeparableNet(6, ((8, 2),), num_classes=3, stem_stride=1)
    assert net.stem(torch.zeros(2, 1, 28, 28)).shape == (2, 6, 28, 28)
    assert net(torch.zeros(2, 1, 28, 28)).shape == (2, 3)


def test_compact_has_a_tenth_of_its_teachers_parameters() -> None:
    params = {
        name: sum(value.numel() for value in create_model(name).parameters())
        for name in ("compact", "residual")
    }
    assert params["residual"] >= 10 * params["compact"]
