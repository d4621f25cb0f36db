"""The one place where networks enter the registry: each import registers what its file defines."""

from course_lib.architectures import (
    depthwise,
    efficientnet,
    ghostnet,
    micronet,
    mobilenet_v2,
    mobilenet_v3,
    plain_conv,
    residual,
    shufflenet_v1,
    shufflenet_v2,
    squeezenet,
    vision_transformer,
)

__all__ = [
    "depthwise",
    "efficientnet",
    "ghostnet",
    "micronet",
    "mobilenet_v2",
    "mobilenet_v3",
    "plain_conv",
    "residual",
    "shufflenet_v1",
    "shufflenet_v2",
    "squeezenet",
    "vision_transformer",
]
