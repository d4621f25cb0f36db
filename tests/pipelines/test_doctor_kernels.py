from math import isnan

import numpy as np
import pytest

from course_lib.pipelines.doctor_kernels import Kernel, list_kernels, share_of_macs, share_of_time
from tests.pipelines.qdq_files import float_model, images, qdq_model


@pytest.fixture
def multiplying():
    def select(model, batch=2):
        kernels = list_kernels(model.SerializeToString(), images(batch), runs=3)
        return [(kernel.layer, kernel.kind, kernel.macs) for kernel in kernels if kernel.macs]

    return select


def test_integer_and_float_kernels_with_their_layers_and_macs(multiplying):
    conv, linear = 2 * 4 * 16 * 9, 2 * 3 * 64  # images × channels × positions × products
    assert multiplying(qdq_model()) == [("conv", "integer", conv), ("linear", "float", linear)]
    assert multiplying(float_model()) == [("conv", "float", conv), ("linear", "float", linear)]


def test_depthwise_convolutions_multiply_with_their_own_channel_only():
    model = qdq_model(np.ones((4, 1, 3, 3), np.int8), groups=4, float_layer=False)
    kernels = list_kernels(model.SerializeToString(), images(1, channels=4), runs=3)
    assert sum(kernel.macs for kernel in kernels) == 4 * 16 * 9


def test_quantizing_counts_as_conversion():
    kernels = list_kernels(qdq_model().SerializeToString(), images(), runs=3)
    kinds = {kernel.operator: kernel.kind for kernel in kernels}
    assert kinds["QuantizeLinear"] == kinds["DequantizeLinear"] == "conversion"


def test_shares():
    kernels = [
        Kernel("a", "QLinearConv", "integer", 300, 2.0),
        Kernel("b", "Conv", "float", 100, 6.0),
        Kernel("c", "QuantizeLinear", "conversion", 0, 2.0),
    ]
    assert share_of_macs(kernels, "integer") == 0.75
    assert share_of_time(kernels, kernels[1:2]) == 0.6
    assert isnan(share_of_macs([], "integer"))
    assert share_of_time([], []) == 0.0
