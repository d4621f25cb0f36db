"""The settings that the tuner tries: which there are, how they read, and that all compute the same."""

import numpy as np
import pytest

from course_lib.errors import UnknownNameError
from course_lib.pipelines.ort_settings import (
    DEFAULT,
    SessionSetting,
    computing_settings,
    memory_settings,
    thread_counts,
)
from course_lib.runtimes.io_binding import BoundModel
from tests.runtimes.conftest import build_model

CONTENT = build_model().SerializeToString()
BATCH = np.array([[1, 1, 5]], np.float32)


@pytest.mark.parametrize(
    ("largest", "counts"),
    [(1, [1]), (2, [1, 2]), (6, [1, 2, 3, 4, 6]), (12, [1, 2, 3, 4, 8, 12])],
)
def test_thread_counts(largest: int, counts: list[int]) -> None:
    assert thread_counts(largest) == counts


def test_text_names_what_differs_from_the_default() -> None:
    assert str(DEFAULT) == "default"
    assert str(SessionSetting(threads=1, io_binding=True)) == "threads=1, io_binding=True"


def test_ways_to_compute() -> None:
    assert len(computing_settings(1)) == 4
    both = computing_settings(2)
    assert len(both) == len(set(both)) == 4 * (1 + 3 * 2)
    assert all(setting.waiting == "spin" for setting in both if setting.threads == 1)


def test_ways_to_keep_memory() -> None:
    assert len(set(memory_settings(DEFAULT))) == 8
    assert DEFAULT in memory_settings(DEFAULT)
    parallel = memory_settings(SessionSetting(threads=2, execution_mode="parallel"))
    assert len(parallel) == 4
    assert all(setting.memory_pattern for setting in parallel)


def test_only_several_spinning_threads_keep_a_core() -> None:
    assert SessionSetting(threads=2).keeps_spinning
    assert not SessionSetting(threads=1).keeps_spinning
    assert not SessionSetting(threads=2, waiting="spin while running").keeps_spinning
    assert not SessionSetting(threads=2, waiting="sleep").keeps_spinning


@pytest.mark.parametrize("setting", [DEFAULT, *computing_settings(2), *memory_settings(DEFAULT)], ids=str)
def test_every_setting_computes_the_same(setting: SessionSetting) -> None:
    loaded = setting.load(CONTENT, BATCH)
    assert loaded.run(BATCH).tolist() == [[3.0, 7.0]]
    assert loaded.threads == setting.thread_count
    assert isinstance(loaded, BoundModel) == setting.io_binding


def test_the_default_leaves_the_threads_to_the_runtime() -> None:
    options = DEFAULT.load(CONTENT, BATCH).session.get_session_options()
    assert options.intra_op_num_threads == 0


def test_unknown_way_of_waiting() -> None:
    with pytest.raises(UnknownNameError, match="no way of waiting called 'nap'; the known ones are sleep"):
        SessionSetting(waiting="nap").runtime()
