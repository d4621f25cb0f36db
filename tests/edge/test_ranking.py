from hypothesis import given

from course_lib.edge.ranking import Cost, by_accuracy, by_cost
from tests.edge.networks import ALL, GOOD, QUICK, SMALL, many, network

LATENCY = Cost(lambda each: each.p50_ms, lambda value: f"{value} ms")


def test_the_worked_example() -> None:
    assert [each.network for each in by_accuracy(ALL, LATENCY)] == [QUICK, GOOD, SMALL]
    assert [each.network for each in by_cost(ALL, LATENCY)] == [SMALL, QUICK, GOOD]
    assert by_accuracy([], LATENCY) == by_cost([], LATENCY) == []


def test_each_place_is_explained() -> None:
    slow = network("slow", 0.885, p50_ms=0.4)
    first, second, third, fourth = by_accuracy([slow, *ALL], LATENCY)
    assert first.by_accuracy_text(LATENCY) == (
        "not told apart from the most accurate, good with 92.00%, at 0.3 ms"
    )
    assert second.by_accuracy_text(LATENCY) == (
        "the most accurate of those that fit, but at 0.9 ms against 0.3 ms of quick, which counts as equal"
    )
    below = "less accurate than good with 92.00% (91.40% to 92.60%)"
    assert third.by_accuracy_text(LATENCY) == f"{below}, at 0.1 ms"
    assert fourth.by_accuracy_text(LATENCY) == (
        f"{below}, but at 0.4 ms against 0.1 ms of small, which counts as equal"
    )
    cheapest, next_one, _ = by_cost(ALL, LATENCY)
    assert cheapest.by_cost_text(LATENCY) == "the cheapest of those that fit, at 0.1 ms"
    assert next_one.by_cost_text(LATENCY) == "at 0.3 ms against 0.1 ms of small"


@given(many)
def test_a_network_that_comes_later_is_told_apart_or_costs_more(networks) -> None:
    ranked = by_accuracy(networks, LATENCY)
    assert sorted(each.network.name for each in ranked) == sorted(each.name for each in networks)
    for index, later in enumerate(ranked):
        for earlier in ranked[:index]:
            told_apart = later.network.accuracy_high < earlier.leader.accuracy_low
            assert told_apart or later.network.p50_ms >= earlier.network.p50_ms


@given(many)
def test_cost_agrees_with_sorting_by_it(networks) -> None:
    costs = [LATENCY.of(each.network) for each in by_cost(networks, LATENCY)]
    assert costs == sorted(each.p50_ms for each in networks)
