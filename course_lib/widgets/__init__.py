"""What students touch: notebook widgets that show what the headless engines measure."""

from course_lib.widgets.compression_explorer import CompressionExplorer

__all__ = ["CompressionExplorer"]
