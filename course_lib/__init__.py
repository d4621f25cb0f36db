"""The library behind the edge AI optimization course: every lesson, slider and grade calls it.

Importing this package alone loads nothing heavy. Import the room you need, for example
``from course_lib.architectures import load_pretrained``.
"""

__version__ = "0.1.0"
