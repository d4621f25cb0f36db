"""Fire module (Iandola et al., SqueezeNet, 2016): squeeze with 1×1, then expand with 1×1 beside 3×3.

Most parameters of a 3×3 convolution come from its many input channels. The squeeze layer leaves only S of
them, and only a part of the outputs is then made by 3×3 kernels: H·W·(C_in·S + S·E₁ + 9·S·E₃) MACs for E₁ +
E₃ output channels. The paper's SqueezeNet has 50 times fewer parameters than AlexNet at the same accuracy
(its claim); it says nothing about time.

As in the paper the convolutions have biases and no batch norm; ``batch_norm=True`` puts the norm there
instead of the bias, which lets a short training with a high learning rate succeed.

Worked example: SqueezeNet's first module, 96 channels squeezed to 16, 64 + 64 outputs, at 55×55:
3,025·(96·16 + 16·64 + 9·16·64) = 3,025·11,776 = 35,622,400 MACs; 11,776 weights and 16 + 64 + 64 biases.
"""

import torch
from torch import Tensor, nn

from course_lib.architectures.blocks.layers import conv_bn


class Fire(nn.Module):
    """Squeeze, expand two ways, concatenate; (N, C_in, H, W) → (N, expanded_1x1 + expanded_3x3, H, W).

    Parameters
    ----------
    squeezed
        Channels S between squeeze and expand.
    expanded_1x1, expanded_3x3
        Output channels made by either kernel, E₁ and E₃.
    batch_norm
        Whether each convolution has a batch norm, and no bias.
    """

    def __init__(
        self,
        in_channels: int,
        squeezed: int,
        expanded_1x1: int,
        expanded_3x3: int,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        make = conv_bn if batch_norm else _conv
        self.squeeze = make(in_channels, squeezed, 1)
        self.expand_1x1 = make(squeezed, expanded_1x1, 1)
        self.expand_3x3 = make(squeezed, expanded_3x3, 3)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.relu(self.squeeze(x))
        wide = torch.cat([self.expand_1x1(squeezed), self.expand_3x3(squeezed)], 1)
        return self.relu(wide)  # type: ignore[no-any-return]


def fire_macs(in_channels: int, squeezed: int, expanded_1x1: int, expanded_3x3: int, resolution: int) -> int:
    """Return H·W·(C_in·S + S·E₁ + 9·S·E₃) for a square input of ``resolution`` pixels a side."""
    return resolution**2 * squeezed * (in_channels + expanded_1x1 + 9 * expanded_3x3)


def fire_params(
    in_channels: int, squeezed: int, expanded_1x1: int, expanded_3x3: int, batch_norm: bool = False
) -> int:
    """Return the trainable numbers of `Fire`: weights, and a bias or a norm for each output."""
    weights = squeezed * (in_channels + expanded_1x1 + 9 * expanded_3x3)
    return weights + (2 if batch_norm else 1) * (squeezed + expanded_1x1 + expanded_3x3)


def _conv(in_channels: int, out_channels: int, kernel: int) -> nn.Module:
    return nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2)
