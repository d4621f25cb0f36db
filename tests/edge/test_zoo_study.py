"""The networks of the zoo beside each other."""

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau

from course_lib.architectures import load_card, load_pretrained
from course_lib.benchmarking import Interval, LatencyComparison, LatencyResult, Ratio, record_machine
from course_lib.edge import MeasuredNetwork
from course_lib.edge.memory_plan import plan_memory
from course_lib.edge.zoo_study import ZooStudy, study_networks
from course_lib.errors import SettingError, UnknownNameError
from course_lib.explore.model_source import onnx_of


def known_study(**costs: tuple[int, float]) -> ZooStudy:
    """Return a study of networks with these MACs and latencies in ms, the first as the baseline."""
    machine, (_, base) = record_machine(), next(iter(costs.values()))
    networks = tuple(
        MeasuredNetwork(
            name=name, accuracy=0.9, accuracy_low=0.89, accuracy_high=0.91, macs=macs, params=macs // 100,
            size_bytes=1000, p50_ms=p50, peak_activation_bytes=5000,
        )
        for name, (macs, p50) in costs.items()
    )  # fmt: skip
    results = {
        name: LatencyResult(machine=machine, samples_ms=(p50,) * 8, name=name)
        for name, (_, p50) in costs.items()
    }
    ratios = {
        name: Ratio(p50 / base, Interval(0.9 * p50 / base, 1.1 * p50 / base, 0.95))
        for name, (_, p50) in costs.items()
    }
    race = LatencyComparison(machine=machine, baseline=next(iter(costs)), results=results, ratios=ratios)
    return ZooStudy(machine=machine, networks=networks, race=race)


def test_pairs_of_the_worked_example() -> None:
    study = known_study(a=(1_000_000, 0.05), b=(2_000_000, 0.04), c=(4_000_000, 0.08))
    assert study.ordered_alike() == pytest.approx(2 / 3)
    assert study.ordered_alike("params") == pytest.approx(2 / 3)


def test_pairs_are_those_of_kendalls_tau() -> None:
    generator = np.random.default_rng(0)
    macs, times = generator.permutation(12) + 1, generator.random(12) + 0.1
    study = known_study(**{f"n{i}": (int(macs[i]) * 1000, float(times[i])) for i in range(12)})
    tau = kendalltau(macs, times).statistic
    assert study.ordered_alike() == pytest.approx((tau + 1) / 2)


def test_equal_costs_make_no_pair() -> None:
    study = known_study(a=(1000, 0.05), b=(1000, 0.04))
    with pytest.raises(SettingError, match="All networks have the same macs"):
        study.ordered_alike()


def test_a_part_of_a_study_keeps_the_networks_of_a_size() -> None:
    study = known_study(a=(1_000_000, 0.05), b=(2_000_000, 0.04), c=(4_000_000, 0.08))
    assert [network.name for network in study.of_size(20_000, 40_000).networks] == ["b", "c"]
    with pytest.raises(SettingError, match=r"No network has 1 to 2 parameters; these have: a 10,000, b"):
        study.of_size(1, 2)


def test_the_table_has_a_row_a_network() -> None:
    study = known_study(a=(1_000_000, 0.05), b=(2_000_000, 0.04))
    first, second = study.table_rows()
    assert first["latency / a"] == "1.00"
    assert second["latency / a"] == "0.80 (0.72 to 0.88)"
    assert second["accuracy"] == "90.00% (89.00% to 91.00%)"
    assert second["p50 µs"] == "40.0"


def test_networks_of_the_zoo_are_measured() -> None:
    files = {name: onnx_of(name) for name in ("tiny", "depthwise")}
    image = np.zeros((1, 1, 28, 28), np.float32)
    study = study_networks(files, image, runs=6)
    assert study.race.baseline == "depthwise"
    for network in study.networks:
        card = load_card(network.name)
        plan = plan_memory(load_pretrained(network.name), torch.zeros(1, 1, 28, 28))
        assert (network.macs, network.params) == (card.macs, card.params)
        assert (network.accuracy, network.accuracy_low) == (card.accuracy, card.accuracy_low)
        assert network.peak_activation_bytes == plan.peak_bytes
        assert network.size_bytes == len(files[network.name])
        assert network.p50_ms == study.race.results[network.name].p50_ms
    with pytest.raises(UnknownNameError, match="squeeze"):
        study_networks({"tiny": files["tiny"]}, image, baseline="squeeze", runs=6)
