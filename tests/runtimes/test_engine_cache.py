"""The engine cache: built once, then found, never loaded when damaged, safe under processes and kills."""

import errno
import multiprocessing
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from course_lib.errors import ExportError, SettingError
from course_lib.runtimes import engine_cache
from course_lib.runtimes.engine_cache import BUILDING, EngineCache, default_folder
from course_lib.runtimes.engine_record import RECORD
from tests.runtimes.file_compiler import FileCompiler, file_model

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "engines")


def builds(log: Path) -> int:
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_the_first_use_builds_and_the_second_finds(cache: EngineCache, tmp_path: Path) -> None:
    compiler = FileCompiler(log=tmp_path / "log")
    first, second = (cache.find_or_build(compiler, file_model()) for _ in range(2))
    assert (first.built, first.why_built) == (True, "there was none")
    assert (second.built, second.why_built) == (False, None)
    assert first.path == second.path
    assert first.path.read_bytes() == b"weights fp32 "
    assert builds(tmp_path / "log") == 1
    assert str(first).startswith("built in 0.")
    assert str(first).endswith("s, because there was none")
    assert str(second).startswith("found in 0.")


def test_loading_uses_the_threads_that_were_asked_for(cache: EngineCache) -> None:
    loaded, engine = cache.load(FileCompiler(), file_model(), "int8", threads=2)
    assert loaded.threads == 2
    assert engine.built
    assert not cache.load(FileCompiler(), file_model(), "int8")[1].built


def test_other_options_models_and_precisions_have_entries_of_their_own(cache: EngineCache) -> None:
    keys = {
        cache.find_or_build(FileCompiler(), file_model()).key,
        cache.find_or_build(FileCompiler(level=2), file_model()).key,
        cache.find_or_build(FileCompiler(), file_model("others")).key,
        cache.find_or_build(FileCompiler(), file_model(), "int8").key,
    }
    assert len(keys) == 4


@pytest.mark.parametrize(
    "spoil",
    [
        lambda entry: (entry / "model.main").write_bytes(b"weights fp31 "),
        lambda entry: (entry / "model.main").write_bytes(b"weights"),
        lambda entry: (entry / "model.weights").unlink(),
        lambda entry: (entry / RECORD).write_bytes(b"{}"),
        lambda entry: shutil.rmtree(entry) or entry.touch(),
        lambda entry: shutil.rmtree(entry) or entry.mkdir(),
    ],
)
def test_what_is_damaged_is_built_anew(cache: EngineCache, spoil: Callable[[Path], object]) -> None:
    engine = cache.find_or_build(FileCompiler(), file_model())
    spoil(engine.path.parent)
    again = cache.find_or_build(FileCompiler(), file_model())
    assert again.built
    assert again.path.read_bytes() == b"weights fp32 "
    assert not cache.find_or_build(FileCompiler(), file_model()).built


def test_two_entries_that_changed_places_are_both_built_anew(cache: EngineCache, tmp_path: Path) -> None:
    one, other = (cache.find_or_build(FileCompiler(level=level), file_model()) for level in (1, 2))
    one.path.parent.rename(tmp_path / "kept")
    other.path.parent.rename(one.path.parent)
    (tmp_path / "kept").rename(other.path.parent)
    for level in (1, 2):
        again = cache.find_or_build(FileCompiler(level=level), file_model())
        assert again.why_built == "its record belonged to another build"


def test_a_form_that_has_changed_is_stale(cache: EngineCache) -> None:
    """Quantizing again may give other weights for the same float model and the same calibration."""
    model = file_model()
    cache.find_or_build(FileCompiler(), model, "int8")
    changed = file_model()
    object.__setattr__(
        changed, "onnx", lambda precision, rules: model.onnx(precision, rules) + b"!" * (precision == "int8")
    )
    assert cache.find_or_build(FileCompiler(), changed, "int8").why_built == "the model in int8 has changed"


def ask(folder: Path, log: Path, gate: object, answers: object) -> None:
    gate.wait()  # type: ignore[attr-defined]
    engine = EngineCache(folder).find_or_build(FileCompiler(log=log, seconds=0.2), file_model())
    answers.put(engine.built)  # type: ignore[attr-defined]


@pytest.mark.slow
def test_eight_processes_at_once_build_once(cache: EngineCache, tmp_path: Path) -> None:
    gate, answers = SPAWN.Barrier(8), SPAWN.Queue()
    arguments = (cache.folder, tmp_path / "log", gate, answers)
    processes = [SPAWN.Process(target=ask, args=arguments) for _ in range(8)]
    for process in processes:
        process.start()
    built = [answers.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    assert sum(built) == 1
    assert builds(tmp_path / "log") == 1


def build_slowly(folder: Path, log: Path) -> None:
    EngineCache(folder).find_or_build(FileCompiler(log=log, seconds=600), file_model())


@pytest.mark.slow
def test_a_killed_build_leaves_nothing_that_is_loaded(
    cache: EngineCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = SPAWN.Process(target=build_slowly, args=(cache.folder, tmp_path / "log"))
    process.start()
    deadline = time.monotonic() + 120
    while not list(cache.folder.glob(f"{BUILDING}*/model.main")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert list(cache.folder.glob(f"{BUILDING}*"))
    log = tmp_path / "log"
    slow = FileCompiler(log=log, seconds=600)
    key = next(cache.folder.glob(f"{BUILDING}*")).name.removeprefix(BUILDING)
    assert key == engine_cache.key_of(engine_cache.engine_facts(slow, file_model(), "fp32"))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    engine = cache.find_or_build(slow, file_model())
    assert engine.why_built == "there was none"
    assert not list(cache.folder.glob(f"{BUILDING}*"))


def test_a_full_disk_is_one_sentence_and_leaves_nothing(cache: EngineCache) -> None:
    with pytest.raises(
        ExportError, match=r"cannot keep the files of files \(No space left on device\); free"
    ):
        cache.find_or_build(FileCompiler(full_disk=True), file_model())
    assert [path.suffix for path in cache.folder.iterdir()] == [".lock"]


def test_a_disk_that_is_full_for_the_record(cache: EngineCache, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(engine_cache, "write_record", full)
    with pytest.raises(ExportError, match="No space left on device"):
        cache.find_or_build(FileCompiler(), file_model())
    assert cache.size_bytes() == 0


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match="pass EngineCache a folder that you may write to"):
        EngineCache(tmp_path / "file" / "engines").find_or_build(FileCompiler(), file_model())


def test_a_precision_that_is_not_built_is_refused_before_anything(cache: EngineCache) -> None:
    with pytest.raises(SettingError, match="files does not build fp16; it builds fp32, int8"):
        cache.find_or_build(FileCompiler(), file_model(), "fp16")
    assert not cache.folder.exists()


def test_clearing_counts_the_entries_and_spares_other_files(cache: EngineCache) -> None:
    assert cache.clear() == 0
    for level in (1, 2):
        cache.find_or_build(FileCompiler(level=level), file_model())
    (cache.folder / "readme").touch()
    (cache.folder / f"{BUILDING}{'0' * 64}").mkdir()
    assert cache.size_bytes() > 0
    assert cache.clear() == 2
    assert sorted(path.name for path in cache.folder.iterdir() if path.suffix != ".lock") == ["readme"]
    assert cache.find_or_build(FileCompiler(), file_model()).built


def test_the_entries_that_were_not_used_for_the_longest_time_go(cache: EngineCache) -> None:
    engines = [cache.find_or_build(FileCompiler(level=level), file_model()) for level in (1, 2, 3)]
    for age, engine in enumerate(engines):
        os.utime(engine.path.parent, (1000 + age, 1000 + age))
    assert not cache.find_or_build(FileCompiler(level=1), file_model()).built  # used just now
    one = cache.size_bytes() // 3
    small = EngineCache(cache.folder, limit_bytes=2 * one + one // 2)
    small.find_or_build(FileCompiler(level=4), file_model())
    left = [engine.path.exists() for engine in engines]
    assert left == [True, False, False]
    EngineCache(cache.folder, limit_bytes=0).find_or_build(FileCompiler(level=5), file_model())
    assert len(cache._entries()) == 1  # the new one stays in any case


def test_an_entry_in_use_stays(cache: EngineCache) -> None:
    old = cache.find_or_build(FileCompiler(), file_model())
    with engine_cache.FileLock(cache._lock_path(old.key)):
        EngineCache(cache.folder, limit_bytes=0).find_or_build(FileCompiler(level=2), file_model())
    assert old.path.exists()


def test_a_limit_below_zero_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="limit_bytes is -1; pass 0 or more"):
        EngineCache(tmp_path, limit_bytes=-1)


def test_the_folder_is_in_the_users_cache_by_default() -> None:
    assert EngineCache().folder == default_folder()
    assert default_folder().parts[-2:] == ("edge-ai-course", "engines")
