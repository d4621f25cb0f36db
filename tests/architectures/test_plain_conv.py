import pytest
import torch

from course_lib.architectures.plain_conv import PlainConvNet
from course_lib.benchmarking.macs import profile_layers


def test_parameters_and_macs_by_hand() -> None:
    profile = profile_layers(PlainConvNet((2, 3, 4), num_classes=5), torch.zeros(1, 1, 28, 28))
    convolutions = 9 * (1 * 2), 9 * (2 * 3), 9 * (3 * 4)
    assert profile.params == sum(convolutions) + 2 * (2 + 3 + 4) + 4 * 49 * 5 + 5
    sizes = 28**2, 14**2, 7**2
    assert profile.macs == sum(c * s for c, s in zip(convolutions, sizes, strict=True)) + 4 * 49 * 5


@pytest.mark.parametrize("channel", range(4))
def test_every_last_channel_owns_49_columns_of_the_classifier(channel: int) -> None:
    net = PlainConvNet((2, 3, 4), num_classes=5).eval()
    x = torch.randn(3, 1, 28, 28)
    with torch.no_grad():
        features = net.features(x)
        features[:, channel] = 0
        without_channel = net.classifier(features.flatten(1))
        net.classifier.weight[:, 49 * channel : 49 * (channel + 1)] = 0
        torch.testing.assert_close(net(x), without_channel)


def test_pictures_of_another_size_do_not_fit_the_flatten() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        PlainConvNet((2, 3, 4), num_classes=5)(torch.zeros(1, 1, 32, 32))
