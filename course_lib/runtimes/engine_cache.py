"""Compile on first launch: ship the ONNX file, build for the device that it meets, and keep the result.

A compiled file is fast to load and good for one device only; an ONNX file runs everywhere and takes seconds
or minutes to compile. So an application ships the ONNX file and compiles it once on each device:

>>> cache = EngineCache()  # doctest: +SKIP
>>> loaded, engine = cache.load(get_runtime("openvino"), model, "fp32")  # doctest: +SKIP
>>> print(engine)  # the second time  # doctest: +SKIP
found in 0.004 s

An entry is a folder named by its key (`engine_key`), with the built files and a record (`engine_record`).
Every use checks all hashes again; what is damaged or out of date is built anew and never loaded. A build
happens in a folder beside and is moved into place whole, so a process that dies leaves nothing that counts
as built. A lock for each key, which the system opens again when its holder dies, lets several processes ask
at once: the first builds, the others wait and find.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout

from course_lib.errors import ExportError, SettingError
from course_lib.runtimes.compilation import Compiler, ModelToCompile, Precision, refuse_precision
from course_lib.runtimes.engine_key import Facts, FormRecorder, engine_facts, key_of
from course_lib.runtimes.engine_record import find_fault, main_file, write_record
from course_lib.runtimes.protocol import LoadedModel

BUILDING = ".building-"
LOCK = ".lock"


@dataclass(frozen=True)
class Engine:
    """A compiled file of the cache.

    ``seconds`` is what it took to find or to build, hashes included; ``why_built`` is None if it was found.
    """

    path: Path
    key: str
    seconds: float
    why_built: str | None

    @property
    def built(self) -> bool:
        """Whether it was built by this call."""
        return self.why_built is not None

    def __str__(self) -> str:
        if self.why_built is None:
            return f"found in {self.seconds:.3f} s"
        return f"built in {self.seconds:.3f} s, because {self.why_built}"


def default_folder() -> Path:
    """Return the place in the user's cache folder."""
    return platformdirs.user_cache_path("edge-ai-course") / "engines"


@dataclass(frozen=True)
class EngineCache:
    """Compiled files in a folder, safe for several processes.

    Parameters
    ----------
    folder
        Made when missing; nothing else should lie in it. By default in the user's cache folder.
    limit_bytes
        After a build, the entries that were not used for the longest time go until the rest takes no more
        than this; the new one stays in any case.

    Raises
    ------
    SettingError
        If ``limit_bytes`` is below 0.
    """

    folder: Path = field(default_factory=default_folder)
    limit_bytes: int = 2_000_000_000

    def __post_init__(self) -> None:
        if self.limit_bytes < 0:
            raise SettingError(f"limit_bytes is {self.limit_bytes}; pass 0 or more, such as 2_000_000_000.")

    def find_or_build(
        self, compiler: Compiler, model: ModelToCompile, precision: Precision = "fp32"
    ) -> Engine:
        """Return the compiled file, built now if there is none that may be used.

        Another process may remove it later (`clear`, the limit); `load` is safe from that.

        Raises
        ------
        ExportError
            If the folder cannot be written, as with a full disk; nothing half-built stays.
        SettingError, ModelError, MissingPackageError
            As `Compiler.compile`.
        """
        with self._held(compiler, model, precision) as engine:
            return engine

    def load(
        self, compiler: Compiler, model: ModelToCompile, precision: Precision = "fp32", *, threads: int = 1
    ) -> tuple[LoadedModel, Engine]:
        """Find or build, and load; see `find_or_build`."""
        with self._held(compiler, model, precision) as engine:
            return compiler.load(engine.path, threads=threads), engine

    def size_bytes(self) -> int:
        """Return what all entries take together."""
        return sum(_bytes_of(entry) for entry in self._entries())

    def clear(self) -> int:
        """Remove all entries and what interrupted builds left, and return how many entries there were.

        A build that is going on in another process is waited for, and removed as well.
        """
        entries = self._entries()
        keys = {entry.name.removeprefix(BUILDING) for entry in (*entries, *self._entries(BUILDING))}
        for key in sorted(keys):
            with self._locked(key):
                self._remove(key)
        return len(entries)

    @contextmanager
    def _held(self, compiler: Compiler, model: ModelToCompile, precision: Precision) -> Iterator[Engine]:
        """Give an entry while its lock is held, so that nobody removes it meanwhile."""
        start = time.perf_counter()
        refuse_precision(compiler, precision)
        facts = engine_facts(compiler, model, precision)
        key = key_of(facts)
        with self._locked(key):
            entry = self.folder / key
            fault = find_fault(entry, facts, FormRecorder(model.onnx))
            if fault is not None:
                with self._explained(compiler.name):
                    self._remove(key)
                    self._build(compiler, model, precision, facts)
            with suppress(OSError):  # the time of the last use, for the limit
                os.utime(entry)
            yield Engine(main_file(entry), key, time.perf_counter() - start, fault)
        if fault is not None:
            with suppress(OSError):  # another process may remove entries at the same time
                self._keep_to_limit(key)

    def _build(self, compiler: Compiler, model: ModelToCompile, precision: Precision, facts: Facts) -> None:
        key = key_of(facts)
        building = self.folder / f"{BUILDING}{key}"
        building.mkdir()
        forms = FormRecorder(model.onnx)
        try:
            built = compiler.compile(
                replace(model, onnx=forms), building / f"model{compiler.suffix}", precision
            )
            write_record(building, facts, forms.digests, built)
            building.replace(self.folder / key)
        finally:
            shutil.rmtree(building, ignore_errors=True)

    def _remove(self, key: str) -> None:
        for folder in (self.folder / key, self.folder / f"{BUILDING}{key}"):
            if folder.is_symlink() or folder.is_file():
                folder.unlink()
            elif folder.exists():
                shutil.rmtree(folder)

    def _keep_to_limit(self, newest: str) -> None:
        sizes = {entry: _bytes_of(entry) for entry in self._entries()}
        total = sum(sizes.values())
        for entry in sorted(sizes, key=lambda entry: entry.stat().st_mtime):
            if total <= self.limit_bytes:
                return
            if entry.name == newest:
                continue
            with suppress(Timeout, OSError), FileLock(self._lock_path(entry.name), timeout=0):
                self._remove(entry.name)  # one in use is locked and stays
                total -= sizes[entry]

    def _entries(self, prefix: str = "") -> list[Path]:
        if not self.folder.is_dir():
            return []
        return [path for path in self.folder.iterdir() if path.is_dir() and _is_key(path.name, prefix)]

    def _lock_path(self, key: str) -> Path:
        return self.folder / f"{key}{LOCK}"

    @contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        lock = FileLock(self._lock_path(key))
        with self._explained("locks"):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or str(error) or type(error).__name__
            raise ExportError(
                f"The engine cache {self.folder} cannot keep the files of {what} ({reason}); free some "
                "space, call clear(), or pass EngineCache a folder that you may write to."
            ) from error


def _bytes_of(entry: Path) -> int:
    return sum(path.stat().st_size for path in entry.rglob("*") if path.is_file())


def _is_key(name: str, prefix: str) -> bool:
    digits = name.removeprefix(prefix)
    return name.startswith(prefix) and len(digits) == 64 and set(digits) <= set("0123456789abcdef")
