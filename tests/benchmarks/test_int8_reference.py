"""The benchmark that compares the integer reference with ONNX Runtime."""

import json

import numpy as np
import pytest

from benchmarks import int8_reference, qlinear
from benchmarks.int8_reference import KINDS, MIXES, affine_mismatches, draw_shape, measure, mismatches
from course_lib.quantization import QParams


@pytest.mark.slow
def test_a_quick_run_finds_no_difference() -> None:
    figures = measure(quick=True)
    assert figures["shapes"] >= 100
    assert figures["values_affine"] >= 100_000
    for name in ("u8u8", "s8s8", "depthwise", "reduced", "affine"):
        assert figures[f"mismatches_{name}"] == 0
    assert figures["mismatches_saturating_matmul"] in (None, 0)
    assert json.loads(json.dumps(figures)) == figures


def test_the_keys_do_not_depend_on_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(int8_reference, "KINDS", ("matmul",))
    figures = {}
    for saturates in (False, True):
        monkeypatch.setattr(int8_reference, "pairs_saturate", lambda answer=saturates: answer)
        figures[saturates] = measure(quick=True)
    assert figures[False].keys() == figures[True].keys()
    assert figures[False]["mismatches_saturating_matmul"] is None
    assert isinstance(figures[True]["mismatches_saturating_matmul"], int)
    assert figures[False]["saturation"] != figures[True]["saturation"]


def test_shapes_cover_strides_uneven_pads_dilations_and_groups() -> None:
    rng = np.random.default_rng(0)
    geometries = [draw_shape("conv", rng).geometry for _ in range(100)]
    for name, least in (("strides", 5), ("pads", 40), ("dilations", 4), ("groups", 4)):
        assert len({getattr(geometry, name) for geometry in geometries}) >= least
    depthwise = [draw_shape("depthwise", rng) for _ in range(20)]
    assert all(shape.weight[0] == shape.x[1] == shape.geometry.groups for shape in depthwise)


def test_a_wrong_reference_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def off_by_one(*arguments: object, **options: object) -> object:
        return real(*arguments, **options) + 1  # type: ignore[operator]

    real = int8_reference.integer_conv2d
    monkeypatch.setattr(int8_reference, "integer_conv2d", off_by_one)
    counts = mismatches("conv", "u8u8", np.random.default_rng(0), saturates=False)
    assert counts["mismatches_u8u8"] > 0.5 * counts["values"]


def test_a_truncating_quantizer_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def half_up(x: np.ndarray, grid: QParams) -> np.ndarray:
        codes = np.floor(x / grid.scale + np.float32(0.5)) + grid.zero_point
        return codes.clip(grid.quant_min, grid.quant_max)

    monkeypatch.setattr(int8_reference, "quantize", half_up)
    wrong, count = affine_mismatches(np.random.default_rng(0))
    assert wrong > 0.1 * count  # half of the values are ties, and every second tie is rounded down


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mix", MIXES)
def test_most_outputs_lie_inside_their_range(kind: str, mix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = []

    def keep(run: object) -> object:
        def kept(*arguments: object) -> np.ndarray:
            outputs.append(run(*arguments))  # type: ignore[operator]
            return outputs[-1]

        return kept

    for name in ("ort_matmul", "ort_conv2d"):
        monkeypatch.setattr(int8_reference, name, keep(getattr(qlinear, name)))
    for seed in range(10):
        mismatches(kind, mix, np.random.default_rng(seed), saturates=False)
    info = [np.iinfo(output.dtype) for output in outputs]
    inside = [((o > i.min) & (o < i.max)).mean() for o, i in zip(outputs, info, strict=True)]
    assert np.mean(inside) > 0.5
