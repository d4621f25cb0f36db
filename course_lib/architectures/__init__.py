"""The course's networks, and the zoo of trained ones.

Importing this package fills the registry; a new network is added here by its import.
"""

from course_lib.architectures import depthwise, plain_conv, residual, vision_transformer
from course_lib.architectures.zoo import ModelCard, load_card, load_pretrained
from course_lib.registry import create_model, list_models

__all__ = [
    "ModelCard",
    "create_model",
    "depthwise",
    "list_models",
    "load_card",
    "load_pretrained",
    "plain_conv",
    "residual",
    "vision_transformer",
]
