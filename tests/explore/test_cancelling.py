import time

import pytest

from course_lib.explore.cancelling import Cancelled, cancelled_meanwhile


def test_it_waits_for_the_pause_and_then_goes_on() -> None:
    started = time.monotonic()
    assert cancelled_meanwhile(lambda: False, 0.02) is False
    assert time.monotonic() - started >= 0.02


def test_it_returns_at_once_when_the_controls_moved() -> None:
    started = time.monotonic()
    assert cancelled_meanwhile(lambda: True, 30.0) is True
    assert time.monotonic() - started < 10


def test_the_sentence() -> None:
    with pytest.raises(
        Cancelled, match=r"^The measurement was given up for a newer one; ask for it again\.$"
    ):
        raise Cancelled
