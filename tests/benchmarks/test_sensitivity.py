"""What the benchmark compares with: whole runs, one for each layer and bit width."""

import torch

from benchmarks.sensitivity import cached_outputs, naive_outputs
from course_lib.architectures import create_model
from course_lib.reproducibility import seeded_torch


def test_both_ways_give_the_same_bits_for_the_teacher():
    with seeded_torch(0):
        model, inputs = create_model("residual").eval(), torch.randn(3, 1, 28, 28)
    naive, cached = naive_outputs(model, inputs, (2, 8)), cached_outputs(model, inputs, (2, 8))
    assert naive.keys() == cached.keys()
    assert len(naive) > 20
    assert all(torch.equal(naive[key], cached[key]) for key in naive)
