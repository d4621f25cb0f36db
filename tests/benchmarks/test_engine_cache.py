"""The benchmark of the engine cache: each corruption corrupts, none is missed, and a race builds once."""

from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest

from benchmarks import engine_cache
from benchmarks.cli import table_rows
from benchmarks.engine_cache import GOALS, KINDS, Counted, ShippedFile, corruptions, race, timings
from course_lib.pipelines.compile_targets import TARGETS
from course_lib.runtimes.compilation import Compiler, ModelToCompile
from course_lib.runtimes.engine_cache import EngineCache
from tests.pipelines.small_onnx import write_small_onnx
from tests.runtimes.file_compiler import FileCompiler


@pytest.fixture
def model(tmp_path: Path) -> ModelToCompile:
    path = write_small_onnx(tmp_path / "small.onnx", batch=1)
    return ModelToCompile("small", np.zeros((1, 1, 6, 6), np.float32), ShippedFile(path))


@pytest.fixture(autouse=True)
def files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the compiler that only writes files a target."""
    made = FileCompiler(precisions=("fp32", "fp16"))
    monkeypatch.setitem(TARGETS, "files", lambda: made)  # type: ignore[arg-type,return-value]
    monkeypatch.setattr(engine_cache, "SHAPE", (1, 1, 6, 6))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_changes_something_and_is_noticed(kind: str, model: ModelToCompile, tmp_path: Path) -> None:
    cache, compiler = EngineCache(tmp_path / "engines"), TARGETS["files"]()
    corrupt: Callable[[Path, Path, Random], None] = KINDS[kind]
    for seed in range(10):
        one, other = (cache.find_or_build(compiler, model, each).path.parent for each in ("fp32", "fp16"))
        before = [path.read_bytes() for path in sorted(one.iterdir())]
        corrupt(one, other, Random(seed))
        assert [path.read_bytes() for path in sorted(one.iterdir())] != before
        assert cache.find_or_build(compiler, model).built


def test_all_are_tried_and_none_is_missed(model: ModelToCompile, tmp_path: Path) -> None:
    found = corruptions("files", model, tmp_path)
    assert found["tried"] == dict.fromkeys(KINDS, 20)
    assert found["undetected"] == dict.fromkeys(KINDS, 0)


def test_a_cache_that_notices_nothing_would_be_seen(
    model: ModelToCompile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blind(folder: Path, *arguments: object) -> str | None:
        return None if folder.is_dir() else "there was none"

    monkeypatch.setattr("course_lib.runtimes.engine_cache.find_fault", blind)
    monkeypatch.setattr("course_lib.runtimes.engine_cache.main_file", lambda folder: folder / "model.main")
    monkeypatch.setattr(FileCompiler, "why_not_run", lambda self: "not here")
    found = corruptions("files", model, tmp_path)
    assert sum(found["undetected"].values()) == 100


def test_times_come_in_pairs(model: ModelToCompile, tmp_path: Path) -> None:
    found = timings("files", model, tmp_path, quick=True)
    assert len(found["cold_samples_s"]) == len(found["cached_samples_s"]) == engine_cache.QUICK_ROUNDS
    assert found["speedup"] > 0
    low, high = found["speedup_interval"]
    assert 0 < low <= high


def test_the_counted_compiler_is_the_targets(model: ModelToCompile, tmp_path: Path) -> None:
    counted = Counted("onnxruntime", tmp_path / "log")
    assert isinstance(counted, Compiler)
    assert (counted.name, counted.suffix) == ("onnxruntime", ".onnx")
    EngineCache(tmp_path / "engines").find_or_build(counted, model)
    assert counted.log.read_text() == "built\n"


@pytest.mark.parametrize(("builds", "missed", "verdict"), [(1, 0, "met"), (2, 1, "missed")])
def test_the_goals(builds: int, missed: int, verdict: str) -> None:
    rows = table_rows({"builds_under_race": builds, "corruptions_undetected": missed}, GOALS)
    assert [row[""] for row in rows] == [verdict, verdict]


@pytest.mark.slow
def test_a_race_builds_once(model: ModelToCompile, tmp_path: Path) -> None:
    assert isinstance(model.onnx, ShippedFile)
    assert race(Counted("onnxruntime", tmp_path / "log"), model.onnx.path, tmp_path) == 1
