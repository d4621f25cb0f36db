import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.benchmarking.energy import EnergyCounter, find_counters, measure_energy
from course_lib.errors import MeasurementError, SettingError

RANGE_UJ = 1_000_000


def make_zone(root: Path, folder: str, name: str, energy_uj: int = 0) -> Path:
    zone = root / folder
    zone.mkdir(parents=True)
    (zone / "name").write_text(f"{name}\n")
    (zone / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
    (zone / "energy_uj").write_text(f"{energy_uj}\n")
    return zone


def spend_uj(zone: Path, amount: int) -> None:
    counter = zone / "energy_uj"
    counter.write_text(str((int(counter.read_text()) + amount) % RANGE_UJ))


@given(st.integers(0, RANGE_UJ - 1), st.integers(0, RANGE_UJ - 1))
def test_a_counter_that_starts_again_loses_nothing(before: int, used: int) -> None:
    counter = EnergyCounter(Path("zone"), RANGE_UJ)
    assert counter.used_uj(before, (before + used) % RANGE_UJ) == used


def test_counters_by_hand_with_two_packages_one_of_which_wraps(tmp_path: Path) -> None:
    first = make_zone(tmp_path, "intel-rapl:0", "package-0", energy_uj=RANGE_UJ - 5_000)
    second = make_zone(tmp_path, "intel-rapl:1", "package-1")

    def call() -> None:
        spend_uj(first, 2_000)
        spend_uj(second, 1_000)

    result = measure_energy(call, power_w=15.0, warmup=1, runs=4, blocks=6, root=tmp_path)
    assert result.source == "counter"
    assert result.assumed_power_w is None
    assert result.samples_j == pytest.approx([0.003] * 6)
    assert result.energy_per_call_j == pytest.approx(0.003)


def test_zones_that_would_count_twice_are_left_out(tmp_path: Path) -> None:
    package = make_zone(tmp_path, "intel-rapl:0", "package-0")
    make_zone(tmp_path, "intel-rapl:0:0", "core")
    make_zone(tmp_path, "intel-rapl:1", "psys")
    make_zone(tmp_path, "intel-rapl-mmio:0", "package-0")
    assert find_counters(tmp_path) == [EnergyCounter(package, RANGE_UJ)]


def test_without_counters_the_model_multiplies_time_and_power(tmp_path: Path, clock: Any) -> None:
    result = measure_energy(clock.spend_ms(1, 3), power_w=5.0, warmup=2, runs=4, blocks=6, root=tmp_path)
    assert result.source == "model"
    assert result.assumed_power_w == 5.0
    assert result.samples_j == pytest.approx([0.010] * 6)
    assert len(clock.calls) == 2 + 4 * 6


def test_one_unreadable_package_gives_the_model_and_never_a_mixture(tmp_path: Path, clock: Any) -> None:
    make_zone(tmp_path, "intel-rapl:0", "package-0")
    (make_zone(tmp_path, "intel-rapl:1", "package-1") / "energy_uj").unlink()
    assert find_counters(tmp_path) == []
    result = measure_energy(clock.spend_ms(2), power_w=10.0, runs=1, blocks=1, root=tmp_path)
    assert (result.source, result.energy_per_call_j) == ("model", pytest.approx(0.020))


def test_counter_and_model_agree_when_the_power_is_the_true_one(tmp_path: Path, clock: Any) -> None:
    zone = make_zone(tmp_path / "counted", "intel-rapl:0", "package-0")
    step = clock.spend_ms(2)

    def call() -> None:
        step()
        spend_uj(zone, 24_000)  # 2 ms at 12 W

    counted = measure_energy(call, power_w=1.0, runs=3, blocks=6, root=tmp_path / "counted")
    modelled = measure_energy(call, power_w=12.0, runs=3, blocks=6, root=tmp_path / "none")
    assert counted.samples_j == pytest.approx(modelled.samples_j)
    assert (counted.source, modelled.source) == ("counter", "model")


def test_the_row_says_where_the_number_came_from(tmp_path: Path, clock: Any) -> None:
    result = measure_energy(clock.spend_ms(2), power_w=15.0, runs=5, blocks=6, name="net", root=tmp_path)
    assert list(result.table_row().values()) == [
        "net",
        "30.0",
        "30.0–30.0",
        "model (assumes 15.0 W)",
        "6 × 5",
    ]
    values = json.loads(json.dumps(result.as_dict(), allow_nan=False))
    assert (values["source"], values["energy_per_call_j"]) == ("model", pytest.approx(0.03))
    zone = make_zone(tmp_path, "intel-rapl:0", "package-0")
    counted = measure_energy(lambda: spend_uj(zone, 10), power_w=15.0, runs=5, blocks=6, root=tmp_path)
    assert counted.table_row()["source"] == "counter"


def test_a_counter_that_stands_still_is_refused(tmp_path: Path) -> None:
    make_zone(tmp_path, "intel-rapl:0", "package-0")
    with pytest.raises(MeasurementError) as caught:
        measure_energy(int, power_w=15.0, runs=5, root=tmp_path, name="net")
    assert str(caught.value) == (
        "The energy counter stood still during 5 calls of net: use more calls, for example runs=50."
    )


def test_a_counter_that_vanishes_during_the_run_is_refused(tmp_path: Path) -> None:
    zone = make_zone(tmp_path, "intel-rapl:0", "package-0")
    with pytest.raises(
        MeasurementError, match=r"^The energy counter .*energy_uj cannot be read: allow reading it"
    ):
        measure_energy(lambda: (zone / "energy_uj").unlink(), power_w=15.0, warmup=0, runs=1, root=tmp_path)


@pytest.mark.parametrize("power_w", [0.0, -1.0, float("nan"), float("inf")])
def test_a_power_that_is_none_is_refused(power_w: float) -> None:
    with pytest.raises(SettingError, match=r"is not a power: pass watts above 0, for example power_w=15.0"):
        measure_energy(int, power_w=power_w)


def test_what_cannot_be_measured_is_told_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"^blocks=0 is not possible here"):
        measure_energy(int, power_w=1.0, blocks=0)
    with pytest.raises(MeasurementError, match=r"^call is int and cannot be called"):
        measure_energy(3, power_w=1.0)  # type: ignore[arg-type]
    with pytest.raises(MeasurementError, match=r"^net raised ZeroDivisionError"):
        measure_energy(lambda: 1 / 0, power_w=1.0, name="net", root=tmp_path)
