import json

import pytest

from course_lib.benchmarking.layer_profile import LayerProfile, ModelProfile
from course_lib.benchmarking.machine import record_machine


def profile(timed: bool) -> ModelProfile:
    first = LayerProfile("conv", "Conv2d", (1, 8, 26, 26), 750, 80, (1.0, 4.0, 2.0) if timed else ())
    second = LayerProfile("head", "Linear", None, 250, 20, (5.0, 1.0, 1.0) if timed else ())
    return ModelProfile(machine=record_machine(), name="Net", layers=(first, second))


def test_totals_and_medians_by_hand() -> None:
    timed = profile(timed=True)
    assert (timed.macs, timed.params) == (1000, 100)
    assert [layer.p50_ms for layer in timed.layers] == [2.0, 1.0]
    # The runs take 6, 5 and 3 ms: their median is 5, not the sum of the layers' medians.
    assert timed.p50_ms == 5.0


def test_without_timing_there_is_no_time() -> None:
    untimed = profile(timed=False)
    assert untimed.p50_ms is None
    assert untimed.layers[0].p50_ms is None
    assert "p50 ms" not in untimed.table_rows()[0]


def test_it_prints_layers_and_a_total() -> None:
    rows = profile(timed=True).table_rows()
    assert list(rows[0].values()) == ["conv", "Conv2d", "1×8×26×26", "750", "75.0%", "80", "2.00"]
    assert list(rows[1].values())[2] == "–"
    assert list(rows[2].values()) == ["total", "Net", "–", "1,000", "100.0%", "100", "5.00"]
    assert str(profile(timed=True)).count("\n") == 5


@pytest.mark.parametrize("timed", [True, False])
def test_it_becomes_json(timed: bool) -> None:
    values = json.loads(json.dumps(profile(timed).as_dict(), allow_nan=False))
    assert values["macs"] == 1000
    assert values["layers"][0]["output_shape"] == [1, 8, 26, 26]
    assert values["p50_ms"] == (5.0 if timed else None)
