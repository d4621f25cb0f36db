"""Numbers as tables show them."""

import math


def significant(value: float, digits: int = 3) -> str:
    """Write a number with this many significant digits and no exponent: 0.0123, 1.23, 1,230."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{round(value, decimals):,.{max(0, decimals)}f}"


def format_bytes(size_bytes: float) -> str:
    """Write a size in decimal units (1 kB = 1,000 bytes), as disks and downloads are sold."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size_bytes) < 999.5:
            return f"{significant(size_bytes)} {unit}"
        size_bytes /= 1000
    return f"{significant(size_bytes)} TB"
