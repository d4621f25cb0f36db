"""All blocks under one roof, for the block explorer: what each is called, costs, obeys and builds.

Formulas are LaTeX of the MACs of one picture. In all of them K is the side of the kernel, C_in and C_out
are channels, H·W input pixels and H'·W' output pixels, s the stride, t the expansion, g the groups; what
else they use follows after the formula. A bracket such as [t>1] is 1 where its condition holds and 0
elsewhere.

Worked example: ``BLOCKS["separable"].macs(BlockShape(8, 16, resolution=10))`` is 20,000, and a module that
``build`` returns for the same shape is counted at 20,000 by `profile_layers`.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from course_lib.architectures.blocks.fire import Fire, fire_macs, fire_params
from course_lib.architectures.blocks.ghost import (
    GhostBottleneck,
    ghost_bottleneck_macs,
    ghost_bottleneck_params,
)
from course_lib.architectures.blocks.inverted_residual import (
    InvertedResidual,
    inverted_residual_macs,
    inverted_residual_params,
)
from course_lib.architectures.blocks.layers import (
    check_groups,
    conv_bn,
    conv_bn_params,
    conv_macs,
    output_side,
    round_channels,
)
from course_lib.architectures.blocks.mbconv import MBConv, mbconv_macs, mbconv_params
from course_lib.architectures.blocks.micro_factorized import MicroBlock, micro_macs, micro_params
from course_lib.architectures.blocks.separable import SeparableBlock, separable_macs, separable_params
from course_lib.architectures.blocks.shape import BlockShape
from course_lib.architectures.blocks.shuffle_v1 import ShuffleV1Block, shuffle_v1_macs, shuffle_v1_params
from course_lib.architectures.blocks.shuffle_v2 import ShuffleV2Block, shuffle_v2_macs, shuffle_v2_params
from course_lib.architectures.blocks.squeeze_excitation import (
    SqueezeExcitation,
    squeeze_excitation_macs,
    squeeze_excitation_params,
)
from course_lib.errors import SettingError

__all__ = ["BLOCKS", "BlockKind", "BlockShape"]


@dataclass(frozen=True)
class BlockKind:
    """One block of the catalogue.

    Parameters
    ----------
    title, source
        Its name in words, and the paper.
    formula
        LaTeX of the MACs.
    knobs
        The fields of `BlockShape` that it obeys.
    build
        Returns the untrained module.
    macs, params
        The cost by formula, for one picture. Like ``build`` they raise SettingError for a shape that the
        block cannot have.
    """

    title: str
    source: str
    formula: str
    knobs: tuple[str, ...]
    build: Callable[[BlockShape], nn.Module]
    macs: Callable[[BlockShape], int]
    params: Callable[[BlockShape], int]


def _standard(shape: BlockShape) -> nn.Module:
    channels = shape.in_channels, shape.out_channels
    _check_standard(shape)
    return nn.Sequential(conv_bn(*channels, shape.kernel, shape.stride, shape.groups), nn.ReLU())


def _standard_macs(shape: BlockShape) -> int:
    _check_standard(shape)
    side = output_side(shape.resolution, shape.stride)
    return conv_macs(shape.in_channels, shape.out_channels, shape.kernel, side, shape.groups)


def _standard_params(shape: BlockShape) -> int:
    _check_standard(shape)
    return conv_bn_params(shape.in_channels, shape.out_channels, shape.kernel, shape.groups)


def _check_standard(shape: BlockShape) -> None:
    check_groups(shape.groups, **{"input channels": shape.in_channels, "output channels": shape.out_channels})


def _expanded(shape: BlockShape) -> int:
    return shape.expansion * shape.in_channels


def _v3_squeezed(shape: BlockShape) -> int:
    return round_channels(_expanded(shape) / 4)


def _se_squeezed(shape: BlockShape) -> int:
    return max(1, shape.in_channels // 4)


def _fire(shape: BlockShape) -> tuple[int, int, int, int]:
    squeezed, half = max(1, shape.out_channels // 8), shape.out_channels // 2
    if half < 1:
        raise SettingError(
            "A fire module got 1 output channel; expected at least 2, one for each of its kernels."
        )
    return shape.in_channels, squeezed, shape.out_channels - half, half


def _micro_hidden(shape: BlockShape) -> int:
    return max(1, shape.out_channels // 4)


CONV = ("in_channels", "out_channels", "resolution", "kernel", "stride")

BLOCKS: dict[str, BlockKind] = {
    "standard": BlockKind(
        "Standard convolution",
        "LeCun et al., 1998; groups: Krizhevsky et al., 2012",
        r"H'W' K^2 \frac{C_{in}}{g} C_{out}",
        (*CONV, "groups"),
        _standard,
        _standard_macs,
        _standard_params,
    ),
    "separable": BlockKind(
        "Depthwise-separable convolution",
        "Howard et al., MobileNets, 2017",
        r"H'W' (K^2 C_{in} + C_{in} C_{out})",
        CONV,
        lambda s: SeparableBlock(s.in_channels, s.out_channels, s.stride, s.kernel),
        lambda s: separable_macs(s.in_channels, s.out_channels, s.resolution, s.stride, s.kernel),
        lambda s: separable_params(s.in_channels, s.out_channels, s.kernel),
    ),
    "squeeze_excitation": BlockKind(
        "Squeeze-and-excitation",
        "Hu et al., 2018",
        r"2 C_{in} S, \quad S = \max(1, \lfloor \frac{C_{in}}{4} \rfloor)",
        ("in_channels", "resolution"),
        lambda s: SqueezeExcitation(s.in_channels, _se_squeezed(s)),
        lambda s: squeeze_excitation_macs(s.in_channels, _se_squeezed(s)),
        lambda s: squeeze_excitation_params(s.in_channels, _se_squeezed(s)),
    ),
    "inverted_residual": BlockKind(
        "Inverted residual with linear bottleneck",
        "Sandler et al., MobileNetV2, 2018",
        r"[t>1] H W C_{in} E + H'W' (K^2 E + E C_{out}), \quad E = t C_{in}",
        (*CONV, "expansion"),
        lambda s: InvertedResidual(s.in_channels, s.out_channels, s.stride, s.kernel, expanded=_expanded(s)),
        lambda s: inverted_residual_macs(
            s.in_channels, s.out_channels, s.resolution, s.stride, s.kernel, expanded=_expanded(s)
        ),
        lambda s: inverted_residual_params(s.in_channels, s.out_channels, s.kernel, expanded=_expanded(s)),
    ),
    "inverted_residual_se": BlockKind(
        "Inverted residual with squeeze-and-excitation and h-swish",
        "Howard et al., MobileNetV3, 2019",
        r"[t>1] H W C_{in} E + H'W' (K^2 E + E C_{out}) + 2 E S, "
        r"\quad E = t C_{in}, \quad S = \mathrm{round}_8(\frac{E}{4})",
        (*CONV, "expansion"),
        lambda s: InvertedResidual(
            s.in_channels,
            s.out_channels,
            s.stride,
            s.kernel,
            expanded=_expanded(s),
            activation=nn.Hardswish,
            squeeze=SqueezeExcitation(_expanded(s), _v3_squeezed(s)),
        ),
        lambda s: inverted_residual_macs(
            s.in_channels,
            s.out_channels,
            s.resolution,
            s.stride,
            s.kernel,
            expanded=_expanded(s),
            squeezed=_v3_squeezed(s),
        ),
        lambda s: inverted_residual_params(
            s.in_channels, s.out_channels, s.kernel, expanded=_expanded(s), squeezed=_v3_squeezed(s)
        ),
    ),
    "mbconv": BlockKind(
        "MBConv",
        "Tan and Le, EfficientNet, 2019",
        r"[t>1] H W C_{in} E + H'W' (K^2 E + E C_{out}) + 2 E S, "
        r"\quad E = t C_{in}, \quad S = \max(1, \lfloor \frac{C_{in}}{4} \rfloor)",
        (*CONV, "expansion"),
        lambda s: MBConv(s.in_channels, s.out_channels, s.stride, s.kernel, s.expansion),
        lambda s: mbconv_macs(s.in_channels, s.out_channels, s.resolution, s.stride, s.kernel, s.expansion),
        lambda s: mbconv_params(s.in_channels, s.out_channels, s.kernel, s.expansion),
    ),
    "shuffle_v1": BlockKind(
        "Grouped 1×1 with channel shuffle (ShuffleNet V1)",
        "Zhang et al., ShuffleNet, 2018",
        r"H W \frac{C_{in} B}{g} + H'W' (9 B + \frac{B M}{g}), "
        r"\quad B = \lfloor \frac{C_{out}}{4} \rfloor, \quad M = C_{out} - [s>1] C_{in}",
        ("in_channels", "out_channels", "resolution", "stride", "groups"),
        lambda s: ShuffleV1Block(s.in_channels, s.out_channels, s.stride, s.groups),
        lambda s: shuffle_v1_macs(s.in_channels, s.out_channels, s.resolution, s.stride, s.groups),
        lambda s: shuffle_v1_params(s.in_channels, s.out_channels, s.stride, s.groups),
    ),
    "shuffle_v2": BlockKind(
        "Channel split and shuffle (ShuffleNet V2)",
        "Ma et al., ShuffleNet V2, 2018",
        r"H W C B + H'W' (9 B + B^2) + D H'W' (9 C_{in} + C_{in} B), "
        r"\quad B = \frac{C_{out}}{2}, \quad C = B + D (C_{in} - B), \quad D = [\text{shape changes}]",
        ("in_channels", "out_channels", "resolution", "stride"),
        lambda s: ShuffleV2Block(s.in_channels, s.out_channels, s.stride),
        lambda s: shuffle_v2_macs(s.in_channels, s.out_channels, s.resolution, s.stride),
        lambda s: shuffle_v2_params(s.in_channels, s.out_channels, s.stride),
    ),
    "fire": BlockKind(
        "Fire module",
        "Iandola et al., SqueezeNet, 2016",
        r"H W (C_{in} S + S E_1 + 9 S E_3), \quad S = \max(1, \lfloor \frac{C_{out}}{8} \rfloor), "
        r"\quad E_3 = \lfloor \frac{C_{out}}{2} \rfloor, \quad E_1 = C_{out} - E_3",
        ("in_channels", "out_channels", "resolution"),
        lambda s: Fire(*_fire(s)),
        lambda s: fire_macs(*_fire(s), s.resolution),
        lambda s: fire_params(*_fire(s)),
    ),
    "ghost": BlockKind(
        "Ghost bottleneck",
        "Han et al., GhostNet, 2020",
        r"H W (C_{in} + 9) m_1 + [s>1] H'W' K^2 E + H'W' (E + 9) m_2 "
        r"+ [\text{shape changes}] H'W' C_{in} (K^2 + C_{out}), "
        r"\quad E = t C_{in}, \quad m_1 = \lceil \frac{E}{2} \rceil, "
        r"\quad m_2 = \lceil \frac{C_{out}}{2} \rceil",
        (*CONV, "expansion"),
        lambda s: GhostBottleneck(s.in_channels, _expanded(s), s.out_channels, s.stride, s.kernel),
        lambda s: ghost_bottleneck_macs(
            s.in_channels, _expanded(s), s.out_channels, s.resolution, s.stride, s.kernel
        ),
        lambda s: ghost_bottleneck_params(s.in_channels, _expanded(s), s.out_channels, s.stride, s.kernel),
    ),
    "micro_factorized": BlockKind(
        "Micro-factorized convolutions",
        "Li et al., MicroNet, 2021",
        r"K E (H' W + H'W') + H'W' (\frac{E M}{G_1} + \frac{M C_{out}}{G_2}), \quad E = t C_{in}, "
        r"\quad M = \max(1, \lfloor \frac{C_{out}}{4} \rfloor), "
        r"\quad G_1, G_2 \approx \sqrt{M}",
        (*CONV, "expansion"),
        lambda s: MicroBlock(
            s.in_channels, s.out_channels, s.stride, s.kernel, s.expansion, _micro_hidden(s)
        ),
        lambda s: micro_macs(
            s.in_channels, s.out_channels, s.resolution, s.stride, s.kernel, s.expansion, _micro_hidden(s)
        ),
        lambda s: micro_params(s.in_channels, s.out_channels, s.kernel, s.expansion, _micro_hidden(s)),
    ),
}
"""Name → block; "standard" is the reference that the others are compared with."""
