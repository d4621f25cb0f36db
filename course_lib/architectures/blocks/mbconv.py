"""MBConv and compound scaling (Tan and Le, EfficientNet, 2019).

MBConv is MobileNetV2's inverted residual with a squeeze-and-excitation inside and SiLU (swish,
x·sigmoid(x)) for its activation. The excitation squeezes to a quarter of the block's *input* channels, not
of the expanded ones.

Compound scaling makes a whole family of networks from one: depth α^φ, width β^φ and resolution γ^φ grow
together, under α·β²·γ² ≈ 2, so that each step of φ doubles the MACs. (Width and resolution count twice:
MACs grow with both channels of a convolution and with both sides of the picture.) The paper found α = 1.2,
β = 1.1, γ = 1.15 by a grid search on B0.

Worked example: φ = 2 gives depth 1.44, width 1.21, resolution 1.3225, and 1.92² = 3.69 times the MACs,
where the rule says 4. EfficientNet-Lite leaves out the squeeze-and-excitation and puts ReLU6 for SiLU, for
integer hardware: that is `InvertedResidual` as it stands.
"""

from typing import NamedTuple

from torch import nn

from course_lib.architectures.blocks.inverted_residual import (
    InvertedResidual,
    inverted_residual_macs,
    inverted_residual_params,
)
from course_lib.architectures.blocks.squeeze_excitation import SqueezeExcitation
from course_lib.errors import SettingError


class MBConv(InvertedResidual):
    """Inverted residual, SiLU, squeeze-and-excitation; (N, C_in, H, W) → (N, C_out, H/stride, W/stride).

    Parameters
    ----------
    expansion
        The wide middle has ``expansion`` · C_in channels; with 1 there is no first 1×1.
    squeeze_ratio
        Channels between the excitation's two 1×1, as a fraction of C_in; at least 1 channel.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        kernel: int = 3,
        expansion: int = 6,
        squeeze_ratio: float = 0.25,
    ) -> None:
        expanded = expansion * in_channels
        squeezed = squeezed_channels(in_channels, squeeze_ratio)
        super().__init__(
            in_channels,
            out_channels,
            stride,
            kernel,
            expanded=expanded,
            activation=nn.SiLU,
            squeeze=SqueezeExcitation(expanded, squeezed, nn.SiLU, nn.Sigmoid),
        )


def squeezed_channels(in_channels: int, squeeze_ratio: float = 0.25) -> int:
    """Return the channels between the two 1×1 of a block's excitation: a fraction of C_in, at least 1."""
    return max(1, int(in_channels * squeeze_ratio))


def mbconv_macs(
    in_channels: int,
    out_channels: int,
    resolution: int,
    stride: int = 1,
    kernel: int = 3,
    expansion: int = 6,
    squeeze_ratio: float = 0.25,
) -> int:
    """Return H·W·C_in·E + H'·W'·(K²·E + E·C_out) + 2·E·S, E = expansion·C_in, S = squeeze_ratio·C_in."""
    return inverted_residual_macs(
        in_channels,
        out_channels,
        resolution,
        stride,
        kernel,
        expanded=expansion * in_channels,
        squeezed=squeezed_channels(in_channels, squeeze_ratio),
    )


def mbconv_params(
    in_channels: int, out_channels: int, kernel: int = 3, expansion: int = 6, squeeze_ratio: float = 0.25
) -> int:
    """Return the trainable numbers of `MBConv`."""
    squeezed = squeezed_channels(in_channels, squeeze_ratio)
    return inverted_residual_params(
        in_channels, out_channels, kernel, expanded=expansion * in_channels, squeezed=squeezed
    )


class CompoundScaling(NamedTuple):
    """Factors for a network's depth (blocks), width (channels) and resolution (pixels a side)."""

    depth: float
    width: float
    resolution: float


def compound_scaling(
    phi: float, alpha: float = 1.2, beta: float = 1.1, gamma: float = 1.15
) -> CompoundScaling:
    """Return depth α^φ, width β^φ and resolution γ^φ; MACs grow by about (α·β²·γ²)^φ.

    Raises
    ------
    SettingError
        If ``phi`` is below 0 or a base below 1: the rule makes networks larger, never smaller.
    """
    if phi < 0 or min(alpha, beta, gamma) < 1:
        raise SettingError(
            f"compound_scaling got phi {phi} and the bases {alpha}, {beta}, {gamma}; expected phi at least "
            "0 and bases of at least 1: for a smaller network pass a width below 1 to create_model."
        )
    return CompoundScaling(alpha**phi, beta**phi, gamma**phi)
