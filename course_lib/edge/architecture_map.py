"""The networks on a map: accuracy against a cost, with a budget that says which of them may run on a device.

A budget is at most one limit for each cost, a floor for the accuracy, and a device; all of them hold at once,
whichever cost the map shows. `weigh` holds the networks against it (`course_lib.edge.selection`).

Worked example: networks at 0.12, 0.20 and 0.365 ms. The limit can be set to 0.11, 0.12 … 0.37 ms: from the
last number of two digits below all networks, where none fits, to the first one that all keep, and beyond it
to "no limit".
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from course_lib.benchmarking.number_text import format_bytes, significant
from course_lib.edge.devices import DEVICE_CLASSES, MICROCONTROLLERS, Microcontroller
from course_lib.edge.limits import DeviceLimits
from course_lib.edge.measured import MeasuredNetwork
from course_lib.edge.selection import Device, Shortlist, Task, shortlist
from course_lib.errors import SettingError
from course_lib.registry import look_up

HERE = "this machine"

DEVICES: dict[str, Device | None] = {HERE: None, **MICROCONTROLLERS, **DEVICE_CLASSES}
"""Name → preset; None is the machine on which latency is measured."""

STOPS = range(10, 100)
"""A limit has two significant digits: 0.10, 0.11 … 0.99, 1.0, steps of 1 to 10 %."""

FLOOR_STEP = 0.001


@dataclass(frozen=True)
class CostAxis:
    """A cost that the map can show.

    Parameters
    ----------
    title
        What stands below the axis.
    noun
        How sentences call it.
    limit
        The name of its limit in `DeviceLimits`.
    of
        The cost of a network.
    text
        An amount of it in words.
    """

    title: str
    noun: str
    limit: str
    of: Callable[[MeasuredNetwork], float]
    text: Callable[[float], str]


def count_text(number: float) -> str:
    """Write a count with three digits and a unit: 1.74 million, 35.9 thousand."""
    for scale, unit in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if number >= scale:
            return f"{significant(number / scale)} {unit}"
    return f"{number:,.0f}"


AXES: dict[str, CostAxis] = {
    "latency": CostAxis(
        "latency of one picture, ms",
        "latency",
        "latency_ms",
        lambda network: network.p50_ms,
        lambda value: f"{significant(value)} ms",
    ),
    "macs": CostAxis("MACs for one picture", "MACs", "macs", lambda network: network.macs, count_text),
    "params": CostAxis("parameters", "parameters", "params", lambda network: network.params, count_text),
    "memory": CostAxis(
        "peak activation memory",
        "activation memory",
        "memory_bytes",
        lambda network: network.peak_activation_bytes,
        format_bytes,
    ),
    "storage": CostAxis(
        "size of the file", "storage", "storage_bytes", lambda network: network.size_bytes, format_bytes
    ),
}
"""Name → cost, latency first."""


@dataclass(frozen=True, kw_only=True)
class MapSetting:
    """Where the controls of the map stand.

    Attributes
    ----------
    axis
        The cost that is shown, one of `AXES`.
    limits
        One limit for each cost at most, and the accuracy floor.
    device
        One of `DEVICES`.
    prefer
        What ranks the networks that keep the limits; see `course_lib.edge.Task`.

    Raises
    ------
    UnknownNameError
        If there is no such axis or device.
    SettingError
        If ``prefer`` is another word.
    """

    axis: str = "latency"
    limits: DeviceLimits = field(default_factory=DeviceLimits)
    device: str = HERE
    prefer: Literal["accuracy", "cost"] = "accuracy"

    def __post_init__(self) -> None:
        look_up(AXES, "axis", self.axis)
        look_up(DEVICES, "device", self.device)
        Task(prefer=self.prefer)

    @property
    def preset(self) -> Device | None:
        """The device, or None for this machine."""
        return DEVICES[self.device]

    @property
    def limit(self) -> float:
        """The limit on the cost that is shown; inf where there is none."""
        return float(getattr(self.limits, AXES[self.axis].limit))

    @property
    def is_checked(self) -> bool:
        """Whether the limit that is shown can be checked: latency only where it was measured."""
        return self.preset is None or self.axis != "latency"

    @property
    def device_limit(self) -> float:
        """What the device itself allows of the cost that is shown; inf where it sets no limit."""
        if not isinstance(self.preset, Microcontroller):
            return math.inf
        return float(getattr(DeviceLimits().within(self.preset), AXES[self.axis].limit))


@dataclass(frozen=True)
class MapResult:
    """Which networks fit a setting: chart, shortlist and table all read this object.

    Parameters
    ----------
    networks
        All that are measured, in the order given.
    chosen
        Those that fit in the order to try them, the others with what they break; None before any network
        is measured.
    """

    setting: MapSetting
    networks: tuple[MeasuredNetwork, ...]
    chosen: Shortlist | None

    @property
    def accepted(self) -> frozenset[str]:
        """The names of the networks that keep the budget."""
        return frozenset(each.name for each in self.chosen.accepted) if self.chosen else frozenset()


def weigh(networks: Sequence[MeasuredNetwork], setting: MapSetting) -> MapResult:
    """Hold networks against a budget.

    Raises
    ------
    SettingError
        If two networks have the same name.

    Examples
    --------
    >>> setting = MapSetting(limits=DeviceLimits(latency_ms=0.25, accuracy=0.9))
    >>> weigh([], setting).accepted
    frozenset()
    """
    if not networks:
        return MapResult(setting, (), None)
    chosen = shortlist(networks, setting.limits, Task(prefer=setting.prefer), device=setting.preset)
    return MapResult(setting, tuple(networks), chosen)


def limit_stops(costs: Sequence[float]) -> tuple[float, ...]:
    """Return the places of a limit: numbers of two digits around these costs, and inf for no limit.

    The first is below all costs, so that no network fits, and the last but one is kept by all.

    Raises
    ------
    SettingError
        If there are no costs, or one is not above 0.
    """
    if not costs or min(costs) <= 0:
        raise SettingError(f"limit_stops got {list(costs)}; pass at least one cost, each above 0.")
    decades = range(math.floor(math.log10(min(costs))) - 1, math.ceil(math.log10(max(costs))) + 1)
    numbers = [float(f"{digits}e{decade - 1}") for decade in decades for digits in STOPS]
    low = max(number for number in numbers if number < min(costs))
    high = min(number for number in numbers if number >= max(costs))
    return (*(number for number in numbers if low <= number <= high), math.inf)


def floor_stops(lowest: float, highest: float) -> tuple[float, ...]:
    """Return the places of the accuracy floor: 0 for none, then steps of 0.1 points around these accuracies.

    The last is above all of them, so that no network fits.

    Raises
    ------
    SettingError
        If they are not fractions in rising order.
    """
    if not 0 <= lowest <= highest <= 1:
        raise SettingError(
            f"floor_stops got accuracies from {lowest!r} to {highest!r}; pass fractions from 0 to 1, the "
            "lowest first."
        )
    steps = round(1 / FLOOR_STEP)
    first, last = math.floor(lowest * steps), min(steps, math.floor(highest * steps) + 1)
    return (0.0, *(step / steps for step in range(max(first, 1), last + 1)))


def limits_in_words(limits: DeviceLimits) -> Mapping[str, str]:
    """Return the limits that are set: axis → its limit in words; "accuracy" for the floor."""
    words = {
        name: f"{axis.noun} at most {axis.text(getattr(limits, axis.limit))}"
        for name, axis in AXES.items()
        if getattr(limits, axis.limit) < math.inf
    }
    return words | ({"accuracy": f"accuracy at least {limits.accuracy:.1%}"} if limits.accuracy else {})
