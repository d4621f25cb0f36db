"""Codes and grids of the two 8-bit types, for the tests of the integer reference."""

import numpy as np

from course_lib.quantization import QParams

RANGES = {"u8": (np.uint8, 0, 255), "s8": (np.int8, -128, 127)}


def grid(code_type="u8", scale=1.0, zero_point=0):
    scale = np.asarray(scale, np.float32)
    return QParams(scale, np.full(scale.shape, zero_point, np.int32), *RANGES[code_type][1:])


def draw(rng, code_type, shape, limit=255):
    number_type, low, high = RANGES[code_type]
    return rng.integers(max(low, -limit), min(high, limit) + 1, shape).astype(number_type)
