"""Break-even points by hand and by numpy's interpolation, one small measurement, and errors."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from course_lib.errors import SettingError
from course_lib.pipelines.sparse_kernels import DENSE, FORMATS, TWO_FOUR, ZEROS
from course_lib.pipelines.sparsity_pays import crossing, measure_sparsity_pays
from tests.pipelines.sparsity_studies import make_study


def test_the_worked_example() -> None:
    assert crossing((0.5, 0.8, 0.9), (4, 2, 0.5)) == pytest.approx(0.85)


def test_crossings_by_hand() -> None:
    assert crossing((0.5, 0.9), (0.9, 0.1)) == 0.5
    assert crossing((0.5, 0.9), (0.2, 1.1)) is None
    assert crossing((0.5, 0.9), (2.0, 1.0)) == pytest.approx(0.9)
    # It was faster at 0.6 for a moment: what counts is from where on it stays so.
    assert crossing((0.5, 0.6, 0.7, 0.8), (2, 0.5, 4, 0.25)) == pytest.approx(0.75)


@given(st.lists(st.floats(0.01, 100), min_size=2, max_size=6))
def test_a_falling_curve_is_crossed_where_numpy_interpolates(ratios: list[float]) -> None:
    ratios = sorted(set(ratios), reverse=True)
    assume(len(ratios) > 1 and ratios[0] > 1 >= ratios[-1])
    sparsities = np.linspace(0.5, 0.9, len(ratios))
    expected = np.interp(0.0, np.log(ratios[::-1]), sparsities[::-1])
    assert crossing(sparsities.tolist(), ratios) == pytest.approx(expected)


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=6), st.floats(1, 3))
def test_a_slower_kernel_never_breaks_even_earlier(ratios: list[float], slower: float) -> None:
    sparsities = np.linspace(0.1, 0.9, len(ratios)).tolist()
    before = crossing(sparsities, ratios)
    after = crossing(sparsities, [slower * ratio for ratio in ratios])
    assert after is None or (before is not None and before <= after + 1e-12)


def test_the_points_of_a_study() -> None:
    points = {each.kernel: each for each in make_study().break_even}
    assert list(points) == list(FORMATS)
    first, second, third, fourth = points.values()
    assert first.sparsity == pytest.approx(0.85)
    # Halved: 2, 1 and 0.25; doubled: 8, 4 and 1.
    assert (first.earliest, first.latest) == (pytest.approx(0.8), pytest.approx(0.9))
    assert (second.sparsity, second.latest) == (None, None)
    # Doubled: 1.8, 1.6 and 0.2, which crosses 1 by ln 1.6 / ln 8 of the way.
    assert (third.sparsity, third.earliest) == (0.5, 0.5)
    assert third.latest == pytest.approx(0.8 + 0.1 * np.log(1.6) / np.log(8))
    assert fourth.sparsity == pytest.approx(0.5 + 0.3 * np.log(2) / np.log(2 / 0.9))


def test_the_table_says_where_each_format_pays() -> None:
    study = make_study()
    cells = {row["format"]: row["64 × 64"] for row in study.table_rows()}
    assert cells[FORMATS[0]] == "85.0 % (80.0–90.0)"
    assert cells[FORMATS[1]] == "never up to 90.0 %"
    assert cells[FORMATS[2]] == "at 50.0 % already"
    assert "The best dense kernel: dense, ONNX Runtime at 64." in str(study)


def test_a_small_measurement() -> None:
    threads, seen = torch.get_num_threads(), []
    study = measure_sparsity_pays(
        (16, 32), (0.5, 0.9), columns=2, runs=6, on_point=lambda *point: seen.append(point)
    )
    assert seen == [(16, 0.5), (16, 0.9), (32, 0.5), (32, 0.9)]
    assert torch.get_num_threads() == threads
    names = [(each.size, each.kernel, each.sparsity) for each in study.timings]
    assert len(names) == len(set(names)) == 2 * (3 + 2 * (len(ZEROS) + len(FORMATS)))
    assert set(study.baselines) == {16, 32}
    assert set(study.baselines.values()) <= set(DENSE)
    for each in study.timings:
        low, high = each.ratio.interval
        assert 0 < low <= high
        assert each.p50_ms > 0
        if each.kernel == study.baselines[each.size]:
            assert each.ratio.value == 1
    (two_four,) = study.curve(TWO_FOUR, 16)
    assert two_four.sparsity == 0.5
    assert [each.sparsity for each in study.curve(FORMATS[0], 32)] == [0.5, 0.9]


def test_settings_out_of_range() -> None:
    with pytest.raises(SettingError) as error:
        measure_sparsity_pays((16, 24))
    assert str(error.value) == (
        "sizes are (16, 24); expected multiples of 16, the side of the largest blocks, such as (256, 512)."
    )
    with pytest.raises(SettingError) as error:
        measure_sparsity_pays((16,), (0.9, 0.5))
    assert str(error.value) == (
        "sparsities are (0.9, 0.5); expected at least one, rising, each between 0 and 1, such as (0.5, 0.9)."
    )
    with pytest.raises(SettingError, match="runs"):
        measure_sparsity_pays((16,), (0.5,), runs=5)
