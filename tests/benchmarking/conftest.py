"""A clock that moves only when a test says so: timings never decide a test."""

from collections.abc import Callable

import pytest

from course_lib.benchmarking import energy, latency


class FakeClock:
    """Stands in for the performance counter; `spend_ms` makes a callable that takes exactly that long."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.calls: list[str] = []

    def spend_ms(self, *durations_ms: float, name: str = "call") -> Callable[[], None]:
        """Return a callable that takes the given durations in turn, starting again after the last."""
        count = 0

        def call() -> None:
            nonlocal count
            self.now_ns += round(durations_ms[count % len(durations_ms)] * 1e6)
            self.calls.append(name)
            count += 1

        return call


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    fake = FakeClock()
    monkeypatch.setattr(latency, "perf_counter_ns", lambda: fake.now_ns)
    monkeypatch.setattr(energy, "perf_counter", lambda: fake.now_ns / 1e9)
    return fake
