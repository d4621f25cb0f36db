from hypothesis import given
from hypothesis import strategies as st

from course_lib.explore.pareto import pareto_frontier

POINTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12)


def test_worked_example():
    # (1, 3) is cheapest, (2, 5) buys more, (3, 4) costs more than (2, 5) for less, (4, 9) buys most.
    assert pareto_frontier([1, 2, 3, 4], [3, 5, 4, 9]) == [0, 1, 3]


def test_of_equal_points_the_first_is_taken():
    assert pareto_frontier([1, 1], [2, 2]) == [0]


@given(POINTS)
def test_frontier_equals_the_definition(points: list[tuple[int, int]]):
    costs, values = [c for c, _ in points], [v for _, v in points]

    def beaten(i: int) -> bool:
        return any(
            (costs[j] <= costs[i] and values[j] > values[i])
            or (costs[j] < costs[i] and values[j] >= values[i])
            for j in range(len(points))
        )

    found = {points[i] for i in pareto_frontier(costs, values)}
    assert found == {points[i] for i in range(len(points)) if not beaten(i)}
