"""Torchvision's networks with random weights: named, always the same, and with norms that keep the scale."""

import pytest
import torch
from torch import nn

from course_lib.errors import UnknownNameError
from course_lib.pipelines.untrained import settle_norms, torchvision_names, untrained_torchvision
from tests.pipelines.small_onnx import SmallNet


def test_norms_take_the_statistics_of_the_inputs() -> None:
    net = SmallNet().train()
    inputs = 5 + 3 * torch.randn(64, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    settled = settle_norms(net, inputs)
    assert settled is net
    assert not any(module.training for module in net.modules())
    mapped = net.conv(inputs)
    torch.testing.assert_close(net.norm.running_mean, mapped.mean((0, 2, 3)))
    torch.testing.assert_close(net.norm.running_var, mapped.var((0, 2, 3)))
    assert net.norm.momentum == nn.BatchNorm2d(1).momentum
    normed = net.norm(mapped)
    torch.testing.assert_close(normed.std((0, 2, 3)), torch.ones(4), rtol=1e-3, atol=1e-3)


def test_a_network_that_torchvision_lacks() -> None:
    assert {"resnet18", "mobilenet_v2", "efficientnet_b0"} <= set(torchvision_names())
    with pytest.raises(UnknownNameError, match=r"no network of torchvision called 'resnet17'.*'resnet18'"):
        untrained_torchvision("resnet17")


@pytest.mark.slow
def test_weights_are_the_same_each_time_and_scores_have_a_scale() -> None:
    one, other = (untrained_torchvision("squeezenet1_1").state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)
    picture = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    scores = untrained_torchvision("mobilenet_v2")(picture)
    assert 0.01 < float(scores.detach().std()) < 100
