import numpy as np
import pytest

from course_lib.architectures import load_card
from course_lib.benchmarking import Interval, LatencyComparison, LatencyResult, Ratio, record_machine
from course_lib.errors import UnknownNameError
from course_lib.explore.networks_beside import NetworkFacts, NetworksBeside, networks_beside


def made_up() -> NetworksBeside:
    machine = record_machine()
    ratios = {
        "large": Ratio(1.0, Interval(1.0, 1.0, 0.95)),
        "small": Ratio(0.25, Interval(0.2, 0.3, 0.95)),
    }
    results = {
        name: LatencyResult(machine=machine, samples_ms=(ms, ms), name=name)
        for name, ms in (("large", 4.0), ("small", 1.0))
    }
    return NetworksBeside(
        machine=machine,
        teacher="large",
        facts={
            "large": NetworkFacts(100_000, 5_000_000, 950, 1_000, 400_000),
            "small": NetworkFacts(10_000, 1_000_000, 900, 1_000, 50_000),
        },
        race=LatencyComparison(machine=machine, baseline="large", results=results, ratios=ratios),
    )


def test_the_example_by_hand() -> None:
    beside = made_up()
    assert beside.compression("small") == pytest.approx(10)
    assert beside.kept("small") == pytest.approx(0.9 / 0.95)
    assert beside.faster("small") == pytest.approx(4)
    assert (beside.compression("large"), beside.kept("large"), beside.faster("large")) == (1, 1, 1)


def test_a_row_says_everything_in_words() -> None:
    row = made_up().table_rows()[1]
    assert row["network"] == "small"
    assert row["parameters"] == "10,000"
    assert row["fewer than the teacher"] == "10.0 times"
    assert row["accuracy"].startswith("90.00% (8")
    assert row["of the teacher's"] == "94.7%"
    assert row["file"] == "50 kB"
    assert row["faster"] == "4.00 times"
    assert "1,000 test images, as on the cards" in str(made_up())


def test_networks_of_the_zoo_stand_beside_their_teacher() -> None:
    image = np.zeros((1, 1, 28, 28), np.float32)
    beside = networks_beside("depthwise", ("tiny", "depthwise"), image, runs=3)
    assert list(beside.facts) == ["depthwise", "tiny"] == list(beside.race.results)
    card = load_card("tiny")
    facts = beside.facts["tiny"]
    assert (facts.params, facts.macs, facts.correct, facts.total) == (
        card.params,
        card.macs,
        card.correct,
        card.total,
    )
    assert facts.accuracy == card.accuracy
    assert facts.size_bytes > 4 * card.params
    assert beside.race.baseline == "depthwise"


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="no trained model called 'giant'"):
        networks_beside("giant", ("tiny",), np.zeros((1, 1, 28, 28), np.float32))
