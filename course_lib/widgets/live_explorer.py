"""What the explorers' Python halves share: the newest position of the controls wins, errors are sentences.

The page sends ``request``, a plain dictionary with a ``generation`` that grows with every change; a worker
thread turns it into results, and the page shows those of the newest generation. Kernel messages may arrive on
several threads, so the shown traits change only under one lock.
"""

import threading
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

import anywidget
import traitlets

from course_lib.errors import CourseError
from course_lib.explore.latest import LatestWins

Job = TypeVar("Job")
Result = TypeVar("Result")


class LiveExplorer(anywidget.AnyWidget, Generic[Job, Result]):
    """Controls on a page, a worker behind them, and one result that everything on the page shows.

    A subclass says how a request becomes a job (`_job_of`), how a job becomes results (`_work`), and how a
    result is shown (`_show`); it sets its own attributes before it calls this initializer, which starts the
    first job.

    Parameters
    ----------
    request
        The controls' first position.
    traits
        First values of the subclass's own traits.
    """

    request = traitlets.Dict().tag(sync=True)
    result = traitlets.Dict().tag(sync=True)
    status = traitlets.Unicode().tag(sync=True)
    error = traitlets.Unicode().tag(sync=True)

    def __init__(self, request: Mapping[str, Any], **traits: Any) -> None:
        self._lock = threading.RLock()
        self._worker = LatestWins[Job, Result](self._work, self._deliver, self._fail)
        super().__init__(request=dict(request), **traits)
        self.observe(self._requested, "request")
        self._worker.submit(self._job_of(self.request))

    @abstractmethod
    def _job_of(self, request: Mapping[str, Any]) -> Job:
        """Return the job that a request asks for, or raise CourseError, KeyError, TypeError, ValueError."""

    @abstractmethod
    def _work(self, job: Job, superseded: Callable[[], bool]) -> Iterable[Result]:
        """Yield what is known of a job, in the worker's thread; end early once ``superseded()`` says so."""

    @abstractmethod
    def _show(self, job: Job, result: Result) -> None:
        """Put a result into the traits; called under the lock, its changes reach the page together."""

    def wait(self, timeout_s: float = 120.0) -> bool:
        """Block until the newest request is done; return whether that happened in time and without error."""
        return self._worker.wait_until_idle(timeout_s) and not self.error

    def close(self) -> None:
        """Take the explorer off the page and end its thread."""
        # The interpreter also closes an explorer whose initializer refused its arguments.
        if hasattr(self, "_worker"):
            self._worker.close()
        super().close()

    def _requested(self, change: Mapping[str, Any]) -> None:
        try:
            job = self._job_of(change["new"])
        except CourseError as error:
            self._report(str(error))
        except (KeyError, TypeError, ValueError):
            self._report("The page sent a setting that cannot be read; reload it or run the cell again.")
        else:
            self._worker.submit(job)

    def _prepare(self, words: str) -> None:
        with self._lock:
            self.status = words

    def _deliver(self, job: Job, result: Result) -> None:
        with self._lock, self.hold_sync():
            self._show(job, result)
            self.status = ""
            self.error = ""

    def _fail(self, job: Job, error: Exception) -> None:
        self._report(str(error) if isinstance(error, CourseError) else f"{type(error).__name__}: {error}")

    def _report(self, sentence: str) -> None:
        with self._lock, self.hold_sync():
            self.status = ""
            self.error = sentence
