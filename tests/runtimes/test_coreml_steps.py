"""What a converter seldom writes; the rest is compared with eager networks in test_coreml_reference."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from course_lib.runtimes.coreml_steps import STEPS


def image(height=5, width=6):
    return torch.arange(float(height * width)).reshape(1, 1, height, width)


@pytest.mark.parametrize(("kind", "row"), [("same", [3.0, 5.0, 3.0]), ("same_lower", [1.0, 4.0, 6.0])])
def test_same_padding_puts_the_odd_one_after_or_before(kind, row):
    # 0 1 2 3 4 with kernel 2 and stride 2: one zero after gives 0+1, 2+3, 4+0; one before 0+0, 1+2, 3+4.
    x = torch.tensor([1.0, 2.0, 2.0, 3.0, 3.0]).reshape(1, 1, 1, 5)
    a = {"x": x, "weight": torch.ones(1, 1, 1, 2), "strides": [1, 2], "dilations": [1, 1], "groups": 1}
    assert STEPS["conv"](a | {"pad_type": kind}).flatten().tolist() == row


@given(
    st.sampled_from(["valid", "custom"]),
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(0, 1),
    st.booleans(),
)
def test_pooling_equals_torch(kind, kernel, stride, pad, exclude):
    pad = min(pad, kernel // 2) if kind == "custom" else 0
    a = {"x": image(), "kernel_sizes": [kernel] * 2, "strides": [stride] * 2, "pad_type": kind}
    a |= {"pad": [pad] * 4, "ceil_mode": False, "exclude_padding_from_average": exclude}
    torch.testing.assert_close(STEPS["max_pool"](a), F.max_pool2d(image(), kernel, stride, pad))
    expected = F.avg_pool2d(image(), kernel, stride, pad, count_include_pad=not exclude)
    torch.testing.assert_close(STEPS["avg_pool"](a), expected)


def test_interleaved_concat_is_a_channel_shuffle():
    values = torch.arange(8.0).reshape(1, 8, 1, 1)
    found = STEPS["concat"]({"values": list(values.chunk(2, 1)), "axis": 1, "interleave": True})
    assert found.flatten().tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    torch.testing.assert_close(found, F.channel_shuffle(values, 2))
    plain = {"values": list(values.chunk(2, 1)), "axis": 1, "interleave": False}
    assert STEPS["concat"](plain).flatten().tolist() == list(range(8))


def test_hand_worked():
    x = torch.tensor([-4.0, 0.5, 4.0])
    assert STEPS["sigmoid_hard"]({"x": x, "alpha": 0.25, "beta": 0.5}).tolist() == [0.0, 0.625, 1.0]
    assert STEPS["thresholded_relu"]({"x": x, "alpha": 1.0}).tolist() == [0.0, 0.0, 4.0]
    assert STEPS["clip"]({"x": x, "alpha": 0.0, "beta": 1.0}).tolist() == [0.0, 0.5, 1.0]
    assert [part.tolist() for part in STEPS["split"]({"x": x, "split_sizes": [1, 2], "axis": 0})] == [
        [-4.0],
        [0.5, 4.0],
    ]
    assert STEPS["matmul"]({"x": x[None], "y": x[None], "transpose_y": True}).tolist() == [[32.25]]
    assert STEPS["expand_dims"]({"x": x, "axes": [0, 2]}).shape == (1, 3, 1)
    assert STEPS["cast"]({"x": x, "dtype": "fp16"}).dtype == torch.float16
