import pytest
import torch

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
