import json
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from course_lib.benchmarking.machine import record_machine
from course_lib.benchmarking.memory import PeakMemoryResult, measure_peak_memory
from course_lib.errors import MeasurementError, SettingError

MEGABYTE = 10**6
BOTH_METHODS = pytest.mark.parametrize(
    "process_folder", [Path("/proc/self"), Path("/nowhere")], ids=["mark", "sampled"]
)
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's mark is Linux's")


def temporary_peak() -> int:
    return int(np.ones(50 * MEGABYTE, np.uint8).sum())


def write_status(folder: Path, mark_kib: int) -> None:
    (folder / "status").write_text(f"Name:\tpython\nVmHWM:\t{mark_kib:8d} kB\nVmRSS:\t     100 kB\n")


def test_the_mark_is_reset_and_read_by_hand(tmp_path: Path) -> None:
    write_status(tmp_path, 1000)
    result = measure_peak_memory(lambda: write_status(tmp_path, 1500), runs=1, process_folder=tmp_path)
    assert (tmp_path / "clear_refs").read_text() == "5"
    assert result.method == "high-water mark"
    assert result.start_bytes == 1000 * 1024
    assert result.samples_bytes == (500 * 1024,)


@BOTH_METHODS
def test_an_array_that_is_returned_is_seen_whole(process_folder: Path) -> None:
    result = measure_peak_memory(lambda: np.ones(50 * MEGABYTE, np.uint8), process_folder=process_folder)
    for sample in result.samples_bytes:
        assert sample == pytest.approx(50 * MEGABYTE, abs=4 * MEGABYTE)


@linux_only
def test_a_peak_that_is_over_before_the_end_is_seen_and_agrees_with_tracemalloc() -> None:
    result = measure_peak_memory(temporary_peak)
    tracemalloc.start()
    try:
        temporary_peak()
        traced_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.method == "high-water mark"
    assert result.peak_memory_bytes == pytest.approx(traced_bytes, abs=4 * MEGABYTE)


@linux_only
def test_small_blocks_freed_by_an_earlier_run_are_counted_again() -> None:
    result = measure_peak_memory(lambda: [bytes(20_000) for _ in range(1000)], runs=3)
    assert min(result.samples_bytes) > 15 * MEGABYTE


@BOTH_METHODS
def test_more_allocation_never_needs_less(process_folder: Path) -> None:
    sizes = [0, 20 * MEGABYTE, 60 * MEGABYTE]
    peaks = [
        measure_peak_memory(lambda size=size: np.ones(size, np.uint8), runs=1, process_folder=process_folder)
        for size in sizes
    ]
    assert [peak.peak_memory_bytes for peak in peaks] == sorted(peak.peak_memory_bytes for peak in peaks)
    assert peaks[0].peak_memory_bytes < 4 * MEGABYTE


def test_without_the_mark_the_method_says_sampled(tmp_path: Path) -> None:
    assert measure_peak_memory(int, runs=1, process_folder=tmp_path / "missing").method == "sampled"
    (tmp_path / "status").write_text("Name: python\n")
    assert measure_peak_memory(int, runs=1, process_folder=tmp_path).method == "sampled"


def test_it_prints_its_method_and_becomes_json() -> None:
    result = PeakMemoryResult(
        machine=record_machine(),
        samples_bytes=(3_000_000, 1_500_000),
        start_bytes=10**8,
        method="sampled",
        name="net",
    )
    assert result.peak_memory_bytes == 3_000_000
    assert list(result.table_row().values()) == ["net", "3.00 MB", "3.00 MB, 1.50 MB", "100 MB", "sampled"]
    values = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert (values["peak_memory_bytes"], values["samples_bytes"]) == (3_000_000, [3_000_000, 1_500_000])


@BOTH_METHODS
def test_what_cannot_be_measured_is_told_in_one_sentence(process_folder: Path) -> None:
    with pytest.raises(MeasurementError, match=r"^net raised ZeroDivisionError"):
        measure_peak_memory(lambda: 1 / 0, name="net", process_folder=process_folder)
    with pytest.raises(MeasurementError, match=r"^call is int and cannot be called"):
        measure_peak_memory(1, process_folder=process_folder)  # type: ignore[arg-type]
    with pytest.raises(SettingError, match=r"^runs=0 is not possible here"):
        measure_peak_memory(int, runs=0, process_folder=process_folder)
