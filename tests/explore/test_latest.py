import threading
from collections.abc import Callable, Iterator

from course_lib.explore.latest import LatestWins

WAIT_S = 10


class Recorder:
    """A worker whose jobs yield three results each, and wait to be let go before the second."""

    def __init__(self) -> None:
        self.results: list[tuple[int, int]] = []
        self.failures: list[tuple[int, str]] = []
        self.first_done = threading.Event()
        self.go_on = threading.Event()
        self.worker = LatestWins[int, int](self.work, self.deliver, self.fail)

    def work(self, job: int, superseded: Callable[[], bool]) -> Iterator[int]:
        if job < 0:
            raise ValueError(f"job {job} is bad")
        yield 0
        assert self.go_on.wait(WAIT_S)
        yield 1
        yield 2

    def deliver(self, job: int, result: int) -> None:
        self.results.append((job, result))
        self.first_done.set()

    def fail(self, job: int, error: Exception) -> None:
        self.failures.append((job, str(error)))


def test_an_undisturbed_job_gives_all_its_results():
    recorder = Recorder()
    recorder.go_on.set()
    recorder.worker.submit(1)
    assert recorder.worker.wait_until_idle(WAIT_S)
    assert recorder.results == [(1, 0), (1, 1), (1, 2)]


def test_the_newest_of_the_waiting_jobs_is_done_and_the_old_one_stops():
    recorder = Recorder()
    recorder.worker.submit(1)
    assert recorder.first_done.wait(WAIT_S)
    for job in (2, 3, 4):
        recorder.worker.submit(job)
    recorder.go_on.set()
    assert recorder.worker.wait_until_idle(WAIT_S)
    done = [job for job, _ in recorder.results]
    assert done[-3:] == [4, 4, 4]
    assert not {2, 3} & set(done)
    assert done.count(1) < 3
    assert done == sorted(done)


def test_a_failing_job_is_reported_and_the_worker_goes_on():
    recorder = Recorder()
    recorder.go_on.set()
    recorder.worker.submit(-1)
    assert recorder.worker.wait_until_idle(WAIT_S)
    recorder.worker.submit(5)
    assert recorder.worker.wait_until_idle(WAIT_S)
    assert recorder.failures == [(-1, "job -1 is bad")]
    assert recorder.results[-1] == (5, 2)


def test_after_close_nothing_runs():
    recorder = Recorder()
    recorder.worker.close()
    recorder.worker.submit(1)
    assert not recorder.worker.wait_until_idle(0.2)
    assert recorder.results == []
