"""The one logger that TensorRT has in a process.

TensorRT keeps the first logger that it is given and passes over all later ones, so the messages of a build
cannot go to a logger of their own. There is one for each package instead, and one build at a time that keeps
what it says. Nothing is printed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from threading import Lock
from typing import Any

TURN = Lock()


@dataclass(frozen=True)
class Message:
    """One message of TensorRT; ``severity`` is its word, such as "ERROR" or "VERBOSE"."""

    severity: str
    text: str


@contextmanager
def recorded(package: str) -> Iterator[tuple[Any, list[Message]]]:
    """Give the package's logger, and a list that fills with its messages; one caller at a time.

    Parameters
    ----------
    package
        "tensorrt_rtx_bindings" or "tensorrt".
    """
    with TURN:
        logger, messages = _logger(package)
        messages.clear()
        yield logger, messages
        messages[:] = []


@cache
def _logger(package: str) -> tuple[Any, list[Message]]:
    trt = import_module(package)
    messages: list[Message] = []

    class Recorder(trt.ILogger):  # type: ignore[name-defined, misc]
        """Keeps every message, whatever its severity."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, text: str) -> None:
            messages.append(Message(severity.name, text))

    return Recorder(), messages
