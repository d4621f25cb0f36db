"""Which GPUs have sparse tensor cores, and what is said without one."""

import pytest
import torch

from course_lib.errors import MeasurementError
from course_lib.pipelines.two_four_gpu import measure_two_four, why_no_two_four


def pretend(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int] | None) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: capability is not None)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Old GPU")


@pytest.mark.parametrize("capability", [(8, 0), (8, 9), (9, 0)])
def test_ampere_and_later_have_them(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]) -> None:
    pretend(monkeypatch, capability)
    assert why_no_two_four() is None


def test_an_older_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, (7, 5))
    assert why_no_two_four() == (
        "2:4 sparsity was not timed on the GPU: Old GPU has compute capability 7.5, and the tensor cores "
        "that skip zeros came with 8.0."
    )


def test_without_a_gpu_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, None)
    with pytest.raises(MeasurementError) as error:
        measure_two_four((128,))
    assert str(error.value) == (
        "2:4 sparsity was not timed on a GPU: this PyTorch sees no CUDA device, and the tensor cores that "
        "skip zeros are in NVIDIA GPUs from Ampere on."
    )


@pytest.mark.skipif(why_no_two_four() is not None, reason=why_no_two_four() or "")
def test_both_are_timed_on_a_gpu() -> None:
    found = measure_two_four((1024,), columns=1024, runs=6)
    assert list(found) == [1024]
    assert found[1024].ratios["2:4"].value > 0
