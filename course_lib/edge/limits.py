"""What a device allows, and in which words a network breaks it.

A limit is kept at its bound. How far a network is from keeping one is counted relative to the limit, so that
kilobytes and milliseconds can be set beside each other: a need of 31 kB where 20 kB are allowed is 55 % off.
A network's distance is that of the limit it breaks worst. Relative to a limit of 0 every need is infinitely
far off; there the need itself decides who is nearer.

Worked example: limits of 20 kB activation memory and 90 % accuracy. One network needs 31 kB at 91 %: distance
0.55. Another one needs 20 kB at 89 %: distance 0.01 / 0.90 = 0.011. None fits; the second is the nearest.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

from course_lib.benchmarking.number_text import format_bytes, significant
from course_lib.edge.devices import Microcontroller
from course_lib.edge.measured import MeasuredNetwork
from course_lib.edge.objective import EdgeLimits, is_number
from course_lib.errors import SettingError

TIED_TO_A_MACHINE = ("latency_ms", "energy_mj", "power_w")
"""Limits on what was measured on one machine and says nothing of another one."""


@dataclass(frozen=True, kw_only=True)
class DeviceLimits(EdgeLimits):
    """What a network must keep on a device; the defaults allow everything.

    Attributes
    ----------
    memory_bytes
        Largest peak of the activations: a microcontroller's SRAM.
    storage_bytes
        Largest file: a microcontroller's flash.
    latency_ms, energy_mj, power_w
        On the machine on which the networks were measured.
    macs, params
        Multiply-accumulates for one input, and parameters.
    accuracy
        The least fraction classified rightly.

    Raises
    ------
    SettingError
        If a limit is negative or not a number, or the accuracy above 1.
    """

    storage_bytes: float = math.inf
    params: float = math.inf
    latency_ms: float = math.inf
    energy_mj: float = math.inf

    def __post_init__(self) -> None:
        for field in fields(self):
            value, highest = getattr(self, field.name), 1.0 if field.name == "accuracy" else math.inf
            if not is_number(value) or not 0 <= value <= highest:
                asked = "a fraction from 0 to 1" if field.name == "accuracy" else "a number of 0 or more"
                raise SettingError(f"{field.name}={value!r} is not a limit: pass {asked}.")

    def within(self, device: Microcontroller) -> "DeviceLimits":
        """Return the limits that also keep a microcontroller's memory."""
        return replace(
            self,
            memory_bytes=min(self.memory_bytes, device.sram_bytes),
            storage_bytes=min(self.storage_bytes, device.flash_bytes),
        )


@dataclass(frozen=True)
class Breach:
    """A limit that a network breaks.

    Attributes
    ----------
    phrase
        Goes on after the network's name.
    distance
        How far the network is off, relative to the limit: infinite for a limit of 0 or a need not known.
    excess
        How far it is off in the limit's own unit: infinite where the need is not known.
    """

    limit: str
    phrase: str
    distance: float
    excess: float


@dataclass(frozen=True)
class Rule:
    """How one limit is compared, and how a breach is told; a ``floor`` is a least fraction, not a most."""

    limit: str
    noun: str
    need: Callable[[MeasuredNetwork], float | None]
    told: str
    text: Callable[[float], str]
    floor: bool = False

    def breach(self, network: MeasuredNetwork, limits: DeviceLimits) -> Breach | None:
        """Return the breach of this limit by a network, or None where it keeps it."""
        limit, need = getattr(limits, self.limit), self.need(network)
        if limit == (0.0 if self.floor else math.inf):
            return None
        if need is None:
            phrase = f"has no measured {self.noun}, so that a limit on it cannot be checked"
            return Breach(self.limit, phrase, math.inf, math.inf)
        excess = limit - need if self.floor else need - limit
        if excess <= 0:
            return None
        told = self.told.format(self.text(need))
        if self.floor:
            phrase = f"{told}, {100 * excess:.2f} points less than the required {self.text(limit)}"
        else:
            phrase = f"{told}, {self.text(excess)} more than the {self.text(limit)} allowed"
        return Breach(self.limit, phrase, excess / limit if limit else math.inf, excess)


def _ms(value: float) -> str:
    return f"{significant(value)} ms"


RULES: tuple[Rule, ...] = (
    Rule(
        "memory_bytes",
        "activation memory",
        lambda network: network.peak_activation_bytes,
        "needs {} of activation memory",
        format_bytes,
    ),
    Rule("storage_bytes", "storage", lambda network: network.size_bytes, "takes {} of storage", format_bytes),
    Rule(
        "latency_ms",
        "latency",
        lambda network: network.p50_ms,
        "takes {} on the machine of its record",
        _ms,
    ),
    Rule(
        "energy_mj",
        "energy",
        lambda network: network.energy_mj,
        "uses {} on the machine of its record",
        lambda value: f"{significant(value)} mJ",
    ),
    Rule(
        "power_w",
        "power",
        lambda network: network.power_w,
        "draws {} on the machine of its record",
        lambda value: f"{significant(value)} W",
    ),
    Rule("macs", "MACs", lambda network: network.macs, "computes {}", lambda value: f"{value:,.0f} MACs"),
    Rule(
        "params",
        "parameters",
        lambda network: network.params,
        "has {}",
        lambda value: f"{value:,.0f} parameters",
    ),
    Rule(
        "accuracy",
        "accuracy",
        lambda network: network.accuracy,
        "is right in {}",
        lambda value: f"{value:.2%}",
        floor=True,
    ),
)
"""The limits in the order in which breaches are told."""


def breaches(network: MeasuredNetwork, limits: DeviceLimits) -> tuple[Breach, ...]:
    """Return the limits that a network breaks, in the order of `RULES`."""
    found = (rule.breach(network, limits) for rule in RULES)
    return tuple(breach for breach in found if breach is not None)


def impossible(networks: Sequence[MeasuredNetwork], limits: DeviceLimits) -> str | None:
    """Say in one sentence which limit no network keeps, and which network comes nearest; None if one fits.

    Where every limit is kept by some network, but no network keeps all, the nearest one is told with the
    limits it breaks.
    """
    broken = {network.name: breaches(network, limits) for network in networks}
    if not all(broken.values()):
        return None
    never = []
    for rule in RULES:
        own = {name: breach for name, row in broken.items() for breach in row if breach.limit == rule.limit}
        if len(own) == len(networks):
            name = min(own, key=lambda each: own[each].excess)
            known = own[name].excess < math.inf
            rest = f"and the nearest, {name}, {own[name].phrase}" if known else "which was measured for none"
            never.append(f"not one keeps the limit on {rule.noun}, {rest}")
    if never:
        return f"No network fits: {'; '.join(never)}."
    name = min(broken, key=lambda each: nearness(broken[each]))
    phrases = " and ".join(breach.phrase for breach in broken[name])
    return f"No network fits, though each limit is kept by some: the nearest, {name}, {phrases}."


def distance(broken: Sequence[Breach]) -> float:
    """Return how far a network is from keeping all limits: 0 where it does."""
    return max((breach.distance for breach in broken), default=0.0)


def nearness(broken: Sequence[Breach]) -> tuple[float, bool, tuple[float, ...]]:
    """Return what sorts networks by their breaches, the nearest to keeping all limits first.

    Distance goes first. Of those infinitely far off, the ones with a need that is not known come last, and
    between the others the excess over limits of 0 decides, in the order of `RULES`.
    """
    endless = {breach.limit: breach.excess for breach in broken if breach.distance == math.inf}
    # A limit that is kept counts as 0, or fewer breaches could sort after more.
    excesses = tuple(endless.get(rule.limit, 0.0) for rule in RULES)
    return distance(broken), math.inf in endless.values(), excesses
