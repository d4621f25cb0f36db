"""The one place where networks enter the registry: each import registers what its file defines."""

from course_lib.architectures import depthwise, plain_conv, residual, vision_transformer

__all__ = ["depthwise", "plain_conv", "residual", "vision_transformer"]
