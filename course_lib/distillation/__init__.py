"""Teaching a small network with a large one."""

from course_lib.distillation.response import distillation_loss

__all__ = ["distillation_loss"]
