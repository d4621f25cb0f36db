from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from course_lib.pipelines import compile_cell
from course_lib.pipelines.cached_cells import CachedCellMaker, cached_cells
from course_lib.pipelines.model_forms import ModelForms, prepare_forms
from course_lib.reproducibility import seeded_torch
from course_lib.runtimes.compilation import PRECISIONS
from course_lib.runtimes.engine_cache import EngineCache
from tests.pipelines.fake_targets import FAKE_TARGETS


@pytest.fixture(scope="module")
def forms() -> ModelForms:
    with seeded_torch(0):
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)).eval()
    return prepare_forms(model, shape=(1, 8, 8))


@pytest.fixture
def maker(forms: ModelForms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CachedCellMaker:
    monkeypatch.setattr(compile_cell, "TARGETS", FAKE_TARGETS)
    return cached_cells(forms, EngineCache(tmp_path), runs=8)


def test_the_first_cell_is_built_and_the_second_found(maker: CachedCellMaker) -> None:
    first = maker.make("onnxruntime", "fp32")
    assert maker.engine is not None
    assert (first.built, maker.engine.built, maker.engine.why_built) == (True, True, "there was none")
    assert first.build_s is not None
    second = maker.make("onnxruntime", "fp32")
    assert (second.built, maker.engine.built, second.build_s) == (True, False, None)
    assert second.size_bytes == first.size_bytes == maker.engine.path.stat().st_size
    assert second.max_absolute is not None
    assert second.max_absolute < 1e-5
    assert second.ratio is not None
    assert second.ratio.value == 1


def test_a_damaged_file_is_built_again(maker: CachedCellMaker) -> None:
    maker.make("onnxruntime", "fp32")
    assert maker.engine is not None
    maker.engine.path.write_bytes(b"damaged")
    cell = maker.make("onnxruntime", "fp32")
    assert maker.engine.why_built is not None
    assert "was damaged" in maker.engine.why_built
    assert (cell.built, cell.why_not) == (True, None)


def test_it_says_the_same_as_the_compile_command(maker: CachedCellMaker, tmp_path: Path) -> None:
    plain = compile_cell.CellMaker(maker.forms, tmp_path / "plain", False, 1, 8)
    for target in FAKE_TARGETS:
        for precision in PRECISIONS:
            cached, built = (
                replace(each.make(target, precision), build_s=None, p50_ms=None, ratio=None)
                for each in (maker, plain)
            )
            assert cached == built


def test_a_cell_that_was_not_built_has_no_engine(maker: CachedCellMaker) -> None:
    maker.make("onnxruntime", "fp32")
    cell = maker.make("picky", "fp32")
    assert (cell.built, maker.engine) == (False, None)
    assert cell.why_not == "picky cannot compile the operator Conv of the node conv1."
