"""The shared half of the explorers, with jobs that a test can hold back."""

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from course_lib.errors import SettingError
from course_lib.widgets.live_explorer import LiveExplorer


class Doubler(LiveExplorer[int, int]):
    """Shows twice the number that the page sends; waits for `gate` with each job."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.done: list[int] = []
        super().__init__({"generation": 0, "number": 1})

    def _job_of(self, request: Mapping[str, Any]) -> int:
        number = int(request["number"])
        if number > 100:
            raise SettingError("number is above 100; send a smaller one.")
        return number

    def _work(self, job: int, superseded: Callable[[], bool]) -> Iterator[int]:
        self._prepare("Thinking …")
        assert self.gate.wait(30)
        if job == 13:
            raise ZeroDivisionError("thirteen")
        self.done.append(job)
        yield 2 * job

    def _show(self, job: int, result: int) -> None:
        self.result = {"double": result}


@pytest.fixture
def doubler() -> Iterator[Doubler]:
    widget = Doubler()
    yield widget
    widget.gate.set()
    widget.close()


def test_the_first_request_is_shown(doubler: Doubler) -> None:
    doubler.gate.set()
    assert doubler.wait(30)
    assert doubler.result == {"double": 2}
    assert doubler.status == ""


def test_requests_in_between_are_left_out(doubler: Doubler) -> None:
    for number in range(2, 50):
        doubler.request = {"generation": number, "number": number}
    doubler.gate.set()
    assert doubler.wait(30)
    assert doubler.result == {"double": 98}
    assert doubler.done[-1] == 49
    assert len(doubler.done) <= 3


def test_it_says_that_it_prepares(doubler: Doubler) -> None:
    assert not doubler.wait(0.01)
    said = threading.Event()
    doubler.observe(lambda change: said.set(), "result")
    doubler.gate.set()
    assert said.wait(30)


@pytest.mark.parametrize(
    ("request_sent", "sentence"),
    [
        ({"number": 101}, "number is above 100; send a smaller one."),
        ({"number": "many"}, "The page sent a setting that cannot be read; reload it or run the cell again."),
        ({}, "The page sent a setting that cannot be read; reload it or run the cell again."),
        ({"number": 13}, "ZeroDivisionError: thirteen"),
    ],
)
def test_errors_become_one_sentence_and_it_goes_on(
    doubler: Doubler, request_sent: dict[str, Any], sentence: str
) -> None:
    doubler.gate.set()
    assert doubler.wait(30)
    doubler.request = request_sent
    assert not doubler.wait(30)
    assert doubler.error == sentence
    doubler.request = {"number": 5}
    assert doubler.wait(30)
    assert doubler.result == {"double": 10}


def test_an_explorer_that_was_refused_can_still_be_closed() -> None:
    refused = Doubler.__new__(Doubler)
    refused.close()
    assert refused.comm is None
