"""What each family of networks is, where it was published, and its idea in one sentence.

Worked example: ``network_note("mobilenet_v2").paper`` is "Sandler et al., 2018", and a network that is not in
the list, such as one of your own, has its name as the title and no paper.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class NetworkNote:
    """A family's title, its paper by authors and year, and its idea; empty texts where there is none."""

    title: str
    paper: str
    idea: str


_SEPARABLE = "Howard et al., MobileNets, 2017"

NOTES: dict[str, NetworkNote] = {
    "compact": NetworkNote(
        "Compact separable network",
        f"{_SEPARABLE}; Hinton et al., 2015",
        "A small separable network that learned from the residual network's soft targets.",
    ),
    "depthwise": NetworkNote(
        "Depthwise-separable network",
        _SEPARABLE,
        "A filter for each channel, then a 1×1 convolution that mixes the channels.",
    ),
    "efficientnet": NetworkNote(
        "EfficientNet",
        "Tan and Le, 2019",
        "Inverted residuals with squeeze-and-excitation, scaled in width, depth and resolution together.",
    ),
    "ghostnet": NetworkNote(
        "GhostNet",
        "Han et al., 2020",
        "Half of the maps of a layer are drawn from the other half by cheap depthwise filters.",
    ),
    "micronet": NetworkNote(
        "MicroNet",
        "Li et al., 2021",
        "Both parts of a separable convolution are factorized once more, for a few million MACs.",
    ),
    "mobilenet_v2": NetworkNote(
        "MobileNetV2",
        "Sandler et al., 2018",
        "Wide inside the block where filters are cheap, narrow and without an activation between blocks.",
    ),
    "mobilenet_v3": NetworkNote(
        "MobileNetV3",
        "Howard et al., 2019",
        "MobileNetV2's blocks with squeeze-and-excitation and h-swish, arranged by a search for latency.",
    ),
    "plain_conv": NetworkNote(
        "Plain convolutions",
        "LeCun et al., 1998, with batch norm and ReLU",
        "Standard convolutions one after the other, and a linear layer over all that is left.",
    ),
    "residual": NetworkNote(
        "Residual network",
        "He et al., 2016",
        "Each block learns what to add to its input, so that deep networks train well; the course's teacher.",
    ),
    "shufflenet_v1": NetworkNote(
        "ShuffleNet",
        "Zhang et al., 2018",
        "1×1 convolutions in groups, and a shuffle that lets the next groups read from all of them.",
    ),
    "shufflenet_v2": NetworkNote(
        "ShuffleNetV2",
        "Ma et al., 2018",
        "Half of the channels pass a block untouched: designed by measured speed instead of MACs.",
    ),
    "squeezenet": NetworkNote(
        "SqueezeNet",
        "Iandola et al., 2016",
        "Channels are squeezed by a 1×1 convolution before they reach the expensive 3×3 kernels.",
    ),
    "tiny": NetworkNote(
        "Tiny separable network",
        _SEPARABLE,
        "The depthwise-separable network with fewer channels and blocks, for the smallest devices.",
    ),
    "vision_transformer": NetworkNote(
        "Vision transformer",
        "Dosovitskiy et al., 2021",
        "The picture is cut into patches, and attention lets each patch look at all others.",
    ),
}
"""Name in the registry → note."""


def network_note(name: str) -> NetworkNote:
    """Return what is known of a network; of one that is not in the list only its name."""
    return NOTES.get(name, NetworkNote(name, "", ""))
