"""In which order should networks that keep all limits be tried?

`by_accuracy` counts networks as equal whose accuracy one test set cannot tell apart: all whose interval
reaches up to the low end of the most accurate one's. Of equal ones the cheapest comes first; what is left is
ranked in the same way, one level below.

Worked example: 92.0 % (91.4 to 92.6) for 9 ms, 91.6 % (91.0 to 92.2) for 3 ms and 89.0 % (88.4 to 89.6) for
1 ms. The interval of the second reaches 92.2 ≥ 91.4: equal to the first and cheaper. That of the third ends
at 89.6: one level below. The order is second, first, third.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from course_lib.edge.measured import MeasuredNetwork


@dataclass(frozen=True)
class Cost:
    """What is to be kept low among equals: its number for a network, and that number in words."""

    of: Callable[[MeasuredNetwork], float]
    text: Callable[[float], str]

    def told(self, network: MeasuredNetwork) -> str:
        """Return the cost of a network in words."""
        return self.text(self.of(network))


@dataclass(frozen=True)
class Ranked:
    """A network in its order, with what it was compared with.

    Attributes
    ----------
    leader
        The most accurate network of its level.
    cheapest
        The network that comes first in its level.
    top
        The most accurate network of all.
    """

    network: MeasuredNetwork
    leader: MeasuredNetwork
    cheapest: MeasuredNetwork
    top: MeasuredNetwork

    def by_accuracy_text(self, cost: Cost) -> str:
        """Say what gave the network its rank where accuracy goes first."""
        if self.leader is not self.top:
            told = f"less accurate than {self.top.name} with {self.top.accuracy_text}"
        elif self.network is self.leader:
            told = "the most accurate of those that fit"
        else:
            told = (
                f"not told apart from the most accurate, {self.leader.name} with {self.leader.accuracy:.2%}"
            )
        if self.network is self.cheapest:
            return f"{told}, at {cost.told(self.network)}"
        equal = f"{cost.told(self.cheapest)} of {self.cheapest.name}, which counts as equal"
        return f"{told}, but at {cost.told(self.network)} against {equal}"

    def by_cost_text(self, cost: Cost) -> str:
        """Say what gave the network its rank where cost goes first."""
        if self.network is self.cheapest:
            return f"the cheapest of those that fit, at {cost.told(self.network)}"
        return f"at {cost.told(self.network)} against {cost.told(self.cheapest)} of {self.cheapest.name}"


def by_cost(networks: Sequence[MeasuredNetwork], cost: Cost) -> list[Ranked]:
    """Return the cheapest first; of equally cheap ones the more accurate."""
    order = sorted(networks, key=lambda network: (cost.of(network), -network.accuracy))
    return [Ranked(network, _leader(order), order[0], _leader(order)) for network in order]


def by_accuracy(networks: Sequence[MeasuredNetwork], cost: Cost) -> list[Ranked]:
    """Return the most accurate first, and the cheapest first of those that are not told apart."""
    ranked: list[Ranked] = []
    rest = list(networks)
    while rest:
        leader = _leader(rest)
        level = by_cost([each for each in rest if each.accuracy_high >= leader.accuracy_low], cost)
        top = ranked[0].top if ranked else leader
        ranked += [Ranked(each.network, leader, level[0].network, top) for each in level]
        rest = [each for each in rest if each.accuracy_high < leader.accuracy_low]
    return ranked


def _leader(networks: Sequence[MeasuredNetwork]) -> MeasuredNetwork:
    return max(networks, key=lambda network: network.accuracy)
