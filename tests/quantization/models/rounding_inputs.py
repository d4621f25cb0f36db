"""Inputs and grids for the tests of roundings that look at what flows into a layer."""

import torch

from course_lib.quantization import PerChannel, choose_qparams
from course_lib.reproducibility import torch_generator


def correlated(*shape, seed=0):
    """Return inputs whose neighbours along every axis but the first move together, as in images."""
    x = torch.randn(shape, generator=torch_generator(seed))
    for axis in range(1, len(shape)):
        x = x + 0.8 * x.roll(1, axis)
    return x.relu()


def grid(layer, bits, symmetric=True, granularity=None):
    return choose_qparams(layer.weight, bits, symmetric=symmetric, granularity=granularity or PerChannel(0))
