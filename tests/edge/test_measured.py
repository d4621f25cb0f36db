import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.edge.measured import MeasuredNetwork, network_of
from course_lib.errors import DataError, MeasurementError

RECORD = {
    "name": "tiny",
    "accuracy": 0.8953,
    "accuracy_low": 0.8891,
    "accuracy_high": 0.9012,
    "macs": 1_200_000,
    "params": 9_000,
    "size_bytes": 40_000,
    "p50_ms": 0.5,
    "peak_activation_bytes": 31_360,
}


def test_a_record_becomes_a_network_and_a_candidate() -> None:
    network = network_of({**RECORD, "seed": 3})
    assert network == MeasuredNetwork(**RECORD)
    assert network.accuracy_text == "89.53% (88.91% to 90.12%)"
    candidate = network.as_candidate()
    assert (candidate.latency_ms, candidate.memory_bytes, candidate.bandwidth_bytes) == (0.5, 31_360, 40_000)


def test_numbers_of_numpy_are_numbers() -> None:
    record = {**RECORD, "p50_ms": np.float32(0.5), "macs": np.int64(1_200_000)}
    assert network_of(record) == network_of(RECORD)


def test_power_is_energy_by_time_where_it_was_measured() -> None:
    assert network_of(RECORD).power_w is None
    measured = network_of({**RECORD, "energy_mj": 2.0})
    assert measured.power_w == measured.as_candidate().power_w == 4.0


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_only_an_accuracy_inside_its_interval_is_taken(values: list[float]) -> None:
    low, accuracy, high = values
    record = {**RECORD, "accuracy_low": low, "accuracy": accuracy, "accuracy_high": high}
    if low <= accuracy <= high:
        assert asdict(network_of(record)).items() >= record.items()
    else:
        with pytest.raises(MeasurementError, match="expected fractions in rising order"):
            network_of(record)


def test_bad_input_gets_one_sentence() -> None:
    short = {key: value for key, value in RECORD.items() if key not in ("p50_ms", "macs")}
    with pytest.raises(DataError, match=r"^The record of tiny lacks macs, p50_ms; expected name, accuracy, "):
        network_of(short)
    with pytest.raises(DataError, match=r"^The record of a network without a name lacks name, "):
        network_of({})
    with pytest.raises(MeasurementError, match=r"^tiny has memory_bytes=-1; pass a measured number"):
        replace(network_of(RECORD), peak_activation_bytes=-1)
    with pytest.raises(MeasurementError, match=r"^tiny has params=inf; pass a counted number of at least 0"):
        network_of({**RECORD, "params": math.inf})
    with pytest.raises(MeasurementError, match=r"^tiny has p50_ms=None; pass a measured number"):
        network_of({**RECORD, "p50_ms": None})
    with pytest.raises(MeasurementError, match=r"^tiny has accuracy_low='0.9'; pass a measured number"):
        network_of({**RECORD, "accuracy_low": "0.9"})
    with pytest.raises(DataError, match=r"^\['tiny', 0.9\] is no record of a network: pass a MeasuredNetwo"):
        network_of(["tiny", 0.9])
    with pytest.raises(MeasurementError, match=r"^tiny has accuracy=0.8953 with an interval from 0.9 to 0.9"):
        network_of({**RECORD, "accuracy_low": 0.9})
