"""A worker that always does the newest job: one thread and a mailbox with one place.

Sliders send jobs faster than they can be done. A new job replaces the one that waits, and the running one is
asked to stop at its next convenient moment; so the last job is always done, and no work piles up.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


class LatestWins(Generic[Job, Result]):
    """Run jobs in a thread of their own, newest first and only.

    Parameters
    ----------
    work
        Turns a job, and a function that says whether a newer one waits, into a stream of results. It may end
        the stream early; the first result is always delivered, so that a slider dragged without pause shows
        something.
    deliver
        Called in the worker's thread with a job and each of its results.
    fail
        Called in the worker's thread with a job and the exception that ended it; the worker goes on.
    """

    def __init__(
        self,
        work: Callable[[Job, Callable[[], bool]], Iterable[Result]],
        deliver: Callable[[Job, Result], None],
        fail: Callable[[Job, Exception], None],
    ) -> None:
        self._work, self._deliver, self._fail = work, deliver, fail
        self._waiting: list[Job] = []
        self._changed = threading.Condition()
        self._closed = False
        self._busy = False
        threading.Thread(target=self._run, daemon=True, name="latest-wins").start()

    def submit(self, job: Job) -> None:
        """Do this job next, in the place of any that still waits; returns at once."""
        with self._changed:
            self._waiting = [job]
            self._changed.notify_all()

    def wait_until_idle(self, timeout_s: float | None = None) -> bool:
        """Block until nothing runs or waits; return whether that happened in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self._busy or self._waiting), timeout_s)

    def close(self) -> None:
        """Stop after the result in progress; later jobs are ignored."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                job = self._waiting.pop()
                self._busy = True
            self._do(job)

    def _superseded(self) -> bool:
        return bool(self._waiting) or self._closed

    def _do(self, job: Job) -> None:
        try:
            for result in self._work(job, self._superseded):
                self._deliver(job, result)
                if self._superseded():
                    return
        except Exception as error:  # whatever a student's model raises must not end the worker
            self._fail(job, error)
