"""The Pareto frontier: the points that no other point beats on both counts."""

from collections.abc import Sequence


def pareto_frontier(costs: Sequence[float], values: Sequence[float]) -> list[int]:
    """Return the indices of the points that cannot be improved upon, cheapest first.

    A point is on the frontier if no other costs at most as much and is worth more, or costs less and is worth
    as much. Of equal points the first is taken.

    Parameters
    ----------
    costs
        To be kept low, for example bytes.
    values
        To be made high, for example accuracy; as many as costs.
    """
    order = sorted(range(len(costs)), key=lambda i: (costs[i], -values[i], i))
    frontier: list[int] = []
    for index in order:
        if not frontier or values[index] > values[frontier[-1]]:
            frontier.append(index)
    return frontier
