"""The keys of a small run, and the sentence where there is no GPU."""

import json

import pytest

from benchmarks import sparsity_pays
from benchmarks.sparsity_pays import key_of, measure


def test_names_become_keys() -> None:
    assert key_of("blocks 16×16, SciPy") == "blocks_16x16_scipy"
    assert key_of("2:4, PyTorch") == "2_4_pytorch"


def test_a_small_run_gives_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparsity_pays, "QUICK_SIZES", (16,))
    monkeypatch.setattr(sparsity_pays, "why_no_two_four", lambda: "There is no GPU.")
    found = json.loads(json.dumps(measure(quick=True), allow_nan=False))
    assert found["sizes"] == [16]
    assert found["sparsities"] == [0.5, 0.9, 0.98]
    assert {each["columns"] for each in found["results"]} == {1, 64}
    assert len(found["break_even"]) == 8
    assert found["zeros_pytorch_1_columns_ratio"] > 0
    assert "csr_mkl_64_columns_break_even" in found
    assert found["gpu_two_four"] == {"missing": "There is no GPU."}
