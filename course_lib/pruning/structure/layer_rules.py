"""What layers do to labels, and what they hold for each channel.

A convolution or linear layer makes channels (role "out") and reads others ("in"); where a layer treats each
channel by itself (batch norm, a depthwise convolution) the channels go through it ("pass").

Worked example: a convolution 4 → 6 in 2 groups. Its weight is (6, 2, k, k); group 0 reads channels 0, 1 and
makes 0, 1, 2. A column of the weight serves both groups, so inputs 0 and 2 go together, and 1 and 3; to stay
rectangular the outputs 0 and 3 go together too, 1 and 4, 2 and 5.
"""

from torch import Tensor, nn

from course_lib.pruning.structure.labels import spread, varying_axes
from course_lib.pruning.structure.mixing_rules import elementwise, normalized, over_last_axes
from course_lib.pruning.structure.step import Labels, Rule, Step

CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)

GROUPS = "has groups of channels that share the columns of its weight"


def is_depthwise(layer: nn.Module) -> bool:
    """Return whether every filter of a convolution sees one channel of several."""
    return isinstance(layer, CONVS) and 1 < layer.groups == layer.in_channels


def convolution(step: Step) -> Labels | None:
    """Return the labels after a convolution, made by it or, if it is depthwise, passed by it."""
    layer, labels = step.layer, step.inputs[0]
    assert isinstance(layer, CONVS + TRANSPOSED)
    axis = labels.ndim + 1 - layer.weight.ndim  # the last axes are those of the kernel
    source = step.channels(labels, axis)
    if is_depthwise(layer):
        made = step.record("pass", source.repeat_interleave(layer.out_channels // layer.in_channels))
    elif layer.groups > 1 and isinstance(layer, TRANSPOSED):
        return None
    else:
        inputs = source.view(layer.groups, -1)
        step.tie_along(inputs, [0], GROUPS)
        step.record("in", inputs[0])
        made = step.record("out", step.ledger.book.fresh(layer.out_channels))
        step.tie_along(made.view(layer.groups, -1), [0], GROUPS)
    return spread(made, axis, step.out.shape)


def linear(step: Step) -> Labels:
    """Return the labels after a linear layer.

    Channels on another axis than the last one go through it, each a row that is multiplied by itself.
    """
    layer, labels = step.layer, step.inputs[0]
    assert isinstance(layer, nn.Linear)
    axes = varying_axes(labels)
    if axes and labels.ndim - 1 not in axes:
        return labels.narrow(-1, 0, 1).expand(step.out.shape)
    step.record("in", step.channels(labels, -1))
    made = step.record("out", step.ledger.book.fresh(layer.out_features))
    return spread(made, -1, step.out.shape)


def passed(step: Step) -> Labels:
    """Return the labels after a layer with parameters for each channel on axis 1, such as batch norm."""
    labels = step.inputs[0]
    step.record("pass", step.channels(labels, 1))
    return labels


def instance_norm(step: Step) -> Labels:
    """Return the labels after a norm over the places of each channel by itself."""
    labels = normalized(step, step.inputs[0], range(2, step.inputs[0].ndim))
    step.record("pass", step.channels(labels, 1))
    return labels


def group_norm(step: Step) -> Labels:
    """Return the labels after a norm over groups of channels, which can go as a whole."""
    layer = step.layer
    assert isinstance(layer, nn.GroupNorm)
    channels = step.channels(step.inputs[0], 1)
    step.tie_along(channels.view(layer.num_groups, -1), [1], "takes its statistics over groups of channels")
    step.record("pass", channels)
    return step.inputs[0]


def layer_norm(step: Step) -> Labels:
    """Return the labels after a norm over the last axes."""
    layer = step.layer
    assert isinstance(layer, nn.LayerNorm)
    return normalized(step, step.inputs[0], range(-len(layer.normalized_shape), 0))


def prelu(step: Step) -> Labels:
    """Return the labels after a PReLU, which has one slope or one for each channel."""
    layer = step.layer
    assert isinstance(layer, nn.PReLU)
    return elementwise(step) if layer.num_parameters == 1 else passed(step)


def softmax_layer(step: Step) -> Labels | None:
    """Return the labels after a softmax layer."""
    axis = step.layer.dim
    return normalized(step, step.inputs[0], [axis]) if isinstance(axis, int) else None


def pool(step: Step) -> Labels | None:
    """Return the labels after a pooling layer."""
    dimensions = next(n for n in (1, 2, 3) if f"{n}d" in type(step.layer).__name__)
    return over_last_axes(step, dimensions)


def upsample(step: Step) -> Labels | None:
    """Return the labels after an upsampling layer."""
    return over_last_axes(step, step.inputs[0].ndim - 2)


def flatten(step: Step) -> Labels:
    """Return the labels after a flatten layer."""
    flat: Tensor = step.layer(step.inputs[0])
    return flat


def channel_shuffle(step: Step) -> Labels:
    """Return the labels after a channel shuffle: axis 1 as (groups, C / groups), transposed."""
    layer, channels = step.layer, step.channels(step.inputs[0], 1)
    assert isinstance(layer, nn.ChannelShuffle)
    parts = channels.view(layer.groups, -1)
    step.tie_along(parts, [0], "shuffles parts of equal size")
    return spread(parts.T.reshape(-1), 1, step.out.shape)


def _kinds(*names: str) -> list[type[nn.Module]]:
    return [getattr(nn, name) for name in names]


_POOLS = [f"{kind}Pool{n}d" for kind in ("Avg", "Max", "LP", "AdaptiveAvg", "AdaptiveMax") for n in (1, 2, 3)]

LAYER_RULES: dict[type[nn.Module], Rule] = {
    **dict.fromkeys(CONVS + TRANSPOSED, convolution),
    **dict.fromkeys(BATCH_NORMS, passed),
    **dict.fromkeys(INSTANCE_NORMS, instance_norm),
    **dict.fromkeys(
        _kinds("ReLU", "ReLU6", "LeakyReLU", "ELU", "CELU", "SELU", "GELU", "SiLU", "Mish"), elementwise
    ),
    **dict.fromkeys(
        _kinds("Sigmoid", "Tanh", "Hardswish", "Hardsigmoid", "Hardtanh", "Softplus"), elementwise
    ),
    **dict.fromkeys(
        _kinds("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "Identity"), elementwise
    ),
    **dict.fromkeys(_kinds(*_POOLS), pool),
    **dict.fromkeys(_kinds("Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d"), upsample),
    **dict.fromkeys(_kinds("Softmax", "LogSoftmax"), softmax_layer),
    nn.ChannelShuffle: channel_shuffle,
    nn.Flatten: flatten,
    nn.GroupNorm: group_norm,
    nn.LayerNorm: layer_norm,
    nn.Linear: linear,
    nn.PReLU: prelu,
}
"""Exact class of a layer → its rule; a subclass may do something else."""
