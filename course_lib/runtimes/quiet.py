"""Converters talk: they print, warn, log and draw progress bars, in Python and in C++. Here it is caught.

C++ writes past Python's `sys.stderr` to the process's descriptors 1 and 2, so these lead into a temporary
file meanwhile. What is caught can be read, because the reason for a failure often stands only there:

>>> import os
>>> with caught_output() as caught:
...     _ = os.write(2, b"E0000 converter.cc:1: no kernel for this operator")
>>> caught.text()
'E0000 converter.cc:1: no kernel for this operator'

Others (ExecuTorch) look for Python's `sys.stderr`, so that is exchanged too, for the thread of the block
only: what other threads print appears as ever. The descriptors are the process's own, and what other
threads write to them meanwhile is caught as well.
"""

import logging
import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from threading import Lock, get_ident
from typing import IO, Any, TextIO

from course_lib.architectures.tracing import ONE_TRACE


class CaughtOutput:
    """What was written since a block began, until it ended."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._start = file.seek(0, os.SEEK_END)
        self._kept: str | None = None

    def text(self) -> str:
        """Return it, during the block or after it."""
        with _LOCK:
            return self._read() if self._kept is None else self._kept

    def _read(self) -> str:
        self._file.seek(self._start)
        return self._file.read().decode(errors="replace")

    def _end(self) -> None:
        self._kept = self._read()


@dataclass
class _Redirection:
    """The one redirection of the process, shared by all blocks that are open at a time."""

    blocks: int = 0
    file: IO[bytes] | None = None
    saved: tuple[int, int] = (-1, -1)
    streams: dict[str, TextIO] = field(default_factory=dict)
    threads: Counter[int] = field(default_factory=Counter)


class _OwnThreads:
    """A stream that catches what the threads with an open block write, and passes the rest on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        file = _STATE.file
        if file is None or not _STATE.threads[get_ident()]:
            return self._stream.write(text)
        file.write(text.encode(errors="replace"))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


_LOCK = Lock()
_STATE = _Redirection()


@contextmanager
def caught_output() -> Iterator[CaughtOutput]:
    """Catch what is written to the descriptors 1 and 2; blocks may nest, also across threads."""
    with _LOCK:
        if _STATE.blocks == 0:
            _start()
        _STATE.blocks += 1
        _STATE.threads[get_ident()] += 1
        assert _STATE.file is not None  # some block is open
        caught = CaughtOutput(_STATE.file)
    try:
        yield caught
    finally:
        with _LOCK:
            caught._end()
            _STATE.blocks -= 1
            _STATE.threads[get_ident()] -= 1
            if _STATE.blocks == 0:
                _stop()


@contextmanager
def quiet_conversion() -> Iterator[CaughtOutput]:
    """Hold `ONE_TRACE` and catch all output, warnings and log records; for tracing and converting."""
    disabled = logging.root.manager.disable
    with ONE_TRACE, caught_output() as caught, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield caught
        finally:
            logging.disable(disabled)


def _start() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # what was printed before belongs where it was printed to
    _STATE.file = TemporaryFile("a+b", buffering=0)  # noqa: SIM115  (closed by _stop)
    _STATE.saved = (os.dup(1), os.dup(2))
    for descriptor in (1, 2):
        os.dup2(_STATE.file.fileno(), descriptor)
    for name in ("stdout", "stderr"):
        _STATE.streams[name] = getattr(sys, name)
        setattr(sys, name, _OwnThreads(_STATE.streams[name]))


def _stop() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    for name, stream in _STATE.streams.items():
        if isinstance(getattr(sys, name), _OwnThreads):  # otherwise another thread has exchanged it meanwhile
            setattr(sys, name, stream)
    for descriptor, saved in zip((1, 2), _STATE.saved, strict=True):
        os.dup2(saved, descriptor)
        os.close(saved)
    assert _STATE.file is not None  # _start made it
    file, _STATE.file = _STATE.file, None
    file.close()
    _STATE.threads.clear()
