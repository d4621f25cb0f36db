"""Squeeze-and-excitation (Hu et al., 2018): each picture turns each channel up or down, and h-swish.

Squeeze: z_c is the mean of channel c over all pixels. Excite: s = gate(W₂·ReLU(W₁·z)), with W₁ from C to S
channels and W₂ back. Scale: y_c = s_c·x_c. W₁ and W₂ are 1×1 convolutions on one pixel, so the MACs, 2·C·S,
do not grow with the picture; but every number of x is read twice and written once, which costs time that
MACs do not show.

Hu et al. gate with the sigmoid. MobileNetV3 (Howard et al., 2019) takes h-sigmoid(x) = ReLU6(x + 3)/6, and
as activation elsewhere h-swish(x) = x·h-sigmoid(x), which stands for swish(x) = x·sigmoid(x): straight
pieces that need no exponential and that integers can compute. They are torch's nn.Hardsigmoid and
nn.Hardswish. h-swish(1) = 1·4/6 = 0.667 where swish(1) = 0.731; both are 0 at 0, and h-swish(x) = x from 3
on.

Worked example: 64 channels squeezed to 16 cost 2·64·16 = 2,048 MACs at any resolution, and own 2,048
weights and 16 + 64 biases.
"""

from collections.abc import Callable

from torch import Tensor, nn


class SqueezeExcitation(nn.Module):
    """Multiply each channel by a number that depends on all channels' means; (N, C, H, W) → (N, C, H, W).

    Parameters
    ----------
    channels, squeezed
        C, and the channels S between the two 1×1 convolutions.
    activation, gate
        What makes the layer between the two, and the one that makes factors, usually between 0 and 1.
    """

    def __init__(
        self,
        channels: int,
        squeezed: int,
        activation: Callable[[], nn.Module] = nn.ReLU,
        gate: Callable[[], nn.Module] = nn.Hardsigmoid,
    ) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.activation = activation()
        self.excite = nn.Conv2d(squeezed, channels, 1)
        self.gate = gate()

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.activation(self.reduce(self.pool(x)))
        return x * self.gate(self.excite(squeezed))  # type: ignore[no-any-return]


def squeeze_excitation_macs(channels: int, squeezed: int) -> int:
    """Return 2·C·S, the MACs at any resolution; 0 squeezed channels stand for no such block."""
    return 2 * channels * squeezed


def squeeze_excitation_params(channels: int, squeezed: int) -> int:
    """Return the trainable numbers of `SqueezeExcitation`; 0 for 0 squeezed channels."""
    return 2 * channels * squeezed + squeezed + channels if squeezed else 0
