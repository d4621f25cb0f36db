"""An ExecuTorch program that is loaded, and the threads that all such programs of a process share.

XNNPACK gets hold of the process's thread pool while a method is loaded and keeps it. Replacing the pool by
one of another size under a loaded method corrupts memory (seen: "malloc(): unsorted double linked list
corrupted"), which is why ExecuTorch calls that function unsafe. So before the pool is replaced every method
is let go, and each is loaded again, from its content, when it runs next. Models with one and the same
number of threads never pay for that.
"""

from dataclasses import dataclass, field
from threading import RLock
from typing import Any
from weakref import WeakSet

import numpy as np
import torch

from course_lib.runtimes.batch_checks import check_batch, check_single
from course_lib.runtimes.protocol import Array
from course_lib.runtimes.quiet import caught_output

METHOD = "forward"
ONE_AT_A_TIME = RLock()
"""Held while anything is loaded or run: the pool is shared."""


class LoadedMethod:
    """A method that can be let go and loaded again."""

    def __init__(self, content: bytes, threads: int) -> None:
        self.content = content
        self.threads = threads
        self.method: Any = None
        _LIVE.add(self)

    def get(self) -> Any:
        """Return the method, loaded for its number of threads; to be called with `ONE_AT_A_TIME` held."""
        from executorch.extension.pybindings import portable_lib

        if portable_lib._threadpool_get_thread_count() != self.threads:
            for each in list(_LIVE):
                each.method = None
            with caught_output():
                portable_lib._unsafe_reset_threadpool(self.threads)
        if self.method is None:
            self.method = load_method(self.content)
        return self.method


_LIVE: WeakSet[LoadedMethod] = WeakSet()


@dataclass(frozen=True)
class ExecuTorchModel:
    """A method of a program, ready to run; calls in several threads take turns."""

    loaded: LoadedMethod = field(repr=False)
    threads: int
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    input_shape: tuple[int | None, ...] | None

    def run(self, batch: Array) -> Array:
        """Return the output for one batch; see `LoadedModel.run`."""
        check_single(self.input_names, self.output_names)
        check_batch(batch, "float32", self.input_shape)
        inputs = torch.from_numpy(np.require(batch, requirements=["C", "W"]))
        with ONE_AT_A_TIME:
            output: Array = self.loaded.get().execute([inputs])[0].numpy().copy()
        return output


def load_method(content: bytes) -> Any:
    """Load a program's one method; RuntimeError if it is damaged or has an operator without a kernel."""
    from executorch.runtime import Runtime

    with caught_output():
        return Runtime.get().load_program(content).load_method(METHOD)
