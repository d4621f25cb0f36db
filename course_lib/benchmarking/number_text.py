"""Numbers as tables show them."""

import math


def significant(value: float, digits: int = 3) -> str:
    """Write a number with this many significant digits and no exponent: 0.0123, 1.23, 1,230."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")  # first, as 0.9996 becomes 1.00 and so moves the point
    decimals = digits - 1 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:,.{max(0, decimals)}f}"


def format_bytes(size_bytes: float) -> str:
    """Write a size in decimal units (1 kB = 1,000 bytes), as disks and downloads are sold."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size_bytes) < 999.5:
            return f"{significant(size_bytes)} {unit}"
        size_bytes /= 1000
    return f"{significant(size_bytes)} TB"
