"""Which networks may run on this device, in which order should they be tried, and why not the others?

Limits come first: a network that breaks one is refused, however accurate it is, with a phrase for each limit.
The others are ranked by what the task prefers.

- ``"accuracy"``: the most accurate first. Two networks measured on one test set are told apart only where
  their intervals do not overlap, so that all whose interval reaches that of the most accurate one count as
  equal, and the cheapest of them leads; then the same again with the rest. This is a careful test: a paired
  comparison of two networks may tell apart what it leaves together.
- ``"cost"``: the cheapest first, by `edge_objective`.

Latency belongs to a machine. A limit on it is compared only with the latencies of the records, on the machine
that they were measured on; for any other device the result says that its latency is not known, and equally
accurate networks are ordered by MACs, which no machine changes.

Worked example: three networks with 92.0 % (91.4 to 92.6) in 0.9 ms, 91.6 % (91.0 to 92.2) in 0.3 ms and
89.0 % (88.4 to 89.6) in 0.1 ms. The first two overlap, so the second leads at a third of the time, then come
the first and the third. With at most 0.5 ms the first is refused: it takes 0.4 ms more than allowed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any, Literal

from course_lib.benchmarking.number_text import format_bytes, significant
from course_lib.benchmarking.table import Row, html_table, text_table
from course_lib.edge.devices import DEVICE_CLASSES, MICROCONTROLLERS, DeviceClass, Microcontroller
from course_lib.edge.limits import TIED_TO_A_MACHINE, Breach, DeviceLimits, breaches, impossible, nearness
from course_lib.edge.measured import MeasuredNetwork, network_of
from course_lib.edge.objective import EdgeWeights, choose, is_number
from course_lib.edge.ranking import Cost, by_accuracy, by_cost
from course_lib.errors import SettingError, UnknownNameError
from course_lib.registry import look_up

Device = Microcontroller | DeviceClass


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the network is for.

    Attributes
    ----------
    data
        The data set that stands for the task; networks measured on another one are refused.
    inputs_per_s
        How many inputs have to be answered a second, one after the other; None if it does not matter.
    prefer
        What ranks the networks that keep the limits.

    Raises
    ------
    SettingError
        If ``inputs_per_s`` is not above 0, or ``prefer`` is another word.
    """

    data: str = "fashion-mnist"
    inputs_per_s: float | None = None
    prefer: Literal["accuracy", "cost"] = "accuracy"

    def __post_init__(self) -> None:
        rate = self.inputs_per_s
        if rate is not None and not (is_number(rate) and rate > 0):
            raise SettingError(
                f"inputs_per_s is {rate!r}; pass a rate above 0, or None if it does not matter."
            )
        if self.prefer not in ("accuracy", "cost"):
            raise SettingError(f"prefer is {self.prefer!r}; expected 'accuracy' or 'cost'.")


@dataclass(frozen=True)
class Verdict:
    """A network, its rank from 1 on or None if it was refused, and the reason in one sentence."""

    network: MeasuredNetwork
    rank: int | None
    reason: str


@dataclass(frozen=True, repr=False)
class Shortlist:
    """The networks that keep the limits, in the order to try them, then the others, the nearest first.

    ``impossible`` is the sentence that says which limit no network keeps, empty where one fits; ``notes`` say
    what the result does not know.
    """

    verdicts: tuple[Verdict, ...]
    limits: DeviceLimits
    impossible: str
    notes: tuple[str, ...]

    @property
    def accepted(self) -> tuple[MeasuredNetwork, ...]:
        """The networks that keep all limits, the best first."""
        return tuple(verdict.network for verdict in self.verdicts if verdict.rank is not None)

    @property
    def best(self) -> MeasuredNetwork | None:
        """The network to try first, or None where none keeps the limits."""
        return self.accepted[0] if self.accepted else None

    def why(self, name: str) -> str:
        """Return the sentence that says why a network has its rank, or why it was refused.

        Raises
        ------
        UnknownNameError
            If there is no such network.
        """
        reasons = {verdict.network.name: verdict.reason for verdict in self.verdicts}
        if name not in reasons:
            raise UnknownNameError("network in this shortlist", name, reasons)
        return reasons[name]

    def table_rows(self) -> list[Row]:
        """Return one row a network."""
        return [
            {
                "rank": "refused" if verdict.rank is None else str(verdict.rank),
                "network": verdict.network.name,
                "accuracy": verdict.network.accuracy_text,
                "p50 ms": significant(verdict.network.p50_ms),
                "activation memory": format_bytes(verdict.network.peak_activation_bytes),
                "storage": format_bytes(verdict.network.size_bytes),
                "MACs": f"{verdict.network.macs:,}",
                "why": verdict.reason,
            }
            for verdict in self.verdicts
        ]

    def sentences(self) -> list[str]:
        """Return what stands under the table."""
        return [self.impossible, *self.notes] if self.impossible else list(self.notes)

    def __str__(self) -> str:
        return "\n".join([text_table(self.table_rows()), *self.sentences()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(self.table_rows()) + "".join(f"<p>{escape(text)}</p>" for text in self.sentences())


def shortlist(
    records: Sequence[MeasuredNetwork | Mapping[str, Any]],
    limits: DeviceLimits | None = None,
    task: Task | None = None,
    *,
    device: Device | str | None = None,
    weights: EdgeWeights | None = None,
) -> Shortlist:
    """Rank the networks that keep the limits, and say of the others what they break.

    Parameters
    ----------
    records
        Networks with what was measured of them, or the plain records of a benchmark.
    device
        Where the network will run, or the name of a preset; None for the machine that the records were
        measured on. A microcontroller adds its SRAM and flash to the limits.
    weights
        What a millisecond, millijoule or kilobyte costs, for the order of cost. By default latency alone, and
        on another device MACs alone.

    Raises
    ------
    SettingError
        If there are no records, two have the same name, energy has a price but was not measured, or
        ``device`` is no device.
    DataError, MeasurementError
        If a record lacks a number, or has an impossible one.
    UnknownNameError
        If no preset is called ``device``.
    """
    limits, task = limits or DeviceLimits(), task or Task()
    device = _device(device)
    networks = [each if isinstance(each, MeasuredNetwork) else network_of(each) for each in records]
    cost = _cost(networks, device, weights)
    compared, notes = _compared(limits, task, device)
    broken = {each.name: _other_data(each, task) or breaches(each, compared) for each in networks}
    fitting = [network for network in networks if not broken[network.name]]
    if task.prefer == "accuracy":
        order = [(each.network, each.by_accuracy_text(cost)) for each in by_accuracy(fitting, cost)]
    else:
        order = [(each.network, each.by_cost_text(cost)) for each in by_cost(fitting, cost)]
    accepted = [
        Verdict(network, rank, f"Keeps every limit: {why}{_doubt(network, compared)}.")
        for rank, (network, why) in enumerate(order, start=1)
    ]
    refused = [
        Verdict(network, None, f"Refused: it {' and '.join(each.phrase for each in broken[network.name])}.")
        for network in sorted(networks, key=lambda each: nearness(broken[each.name]))
        if broken[network.name]
    ]
    on_task = [network for network in networks if network.data == task.data]
    sentence = impossible(on_task, compared) if on_task else _no_network_for(task, networks)
    return Shortlist((*accepted, *refused), compared, sentence or "", tuple(notes))


def _device(device: Device | str | None) -> Device | None:
    """Return a device as it is, and for a name the preset."""
    if isinstance(device, str):
        presets: dict[str, Device] = {**MICROCONTROLLERS, **DEVICE_CLASSES}
        return look_up(presets, "device", device)
    if device is not None and not isinstance(device, Device):
        raise SettingError(
            f"device is {device!r}; pass a name such as 'cortex_m4_256k' or 'embedded', a Microcontroller, a "
            "DeviceClass, or None for the machine of the records."
        )
    return device


def _cost(networks: Sequence[MeasuredNetwork], device: Device | None, weights: EdgeWeights | None) -> Cost:
    """Return what orders equally good networks."""
    choice = choose([network.as_candidate() for network in networks], weights or EdgeWeights(per_ms=1.0))
    if weights is None and device is not None:
        return Cost(lambda network: network.macs, lambda macs: f"{macs:,.0f} MACs")
    objectives = dict(zip((network.name for network in networks), choice.objectives, strict=True))
    if weights is None:
        return Cost(lambda network: objectives[network.name], lambda value: f"{significant(value)} ms")
    unknown = [network.name for network in networks if network.energy_mj is None]
    if weights.per_mj and unknown:
        raise SettingError(
            f"per_mj={weights.per_mj:g} prices energy, which was not measured for {', '.join(unknown)}; "
            "measure it with measure_energy or leave per_mj out."
        )
    return Cost(
        lambda network: objectives[network.name], lambda value: f"an objective of {significant(value)}"
    )


def _compared(limits: DeviceLimits, task: Task, device: Device | None) -> tuple[DeviceLimits, list[str]]:
    """Return the limits that are held against measured numbers, and what is to be said about the others."""
    if task.inputs_per_s is not None:
        limits = replace(limits, latency_ms=min(limits.latency_ms, 1000 / task.inputs_per_s))
    if device is None:
        return limits, ["Latencies and energies are those of the machine on which the records were measured."]
    open_limits = [name for name in TIED_TO_A_MACHINE if getattr(limits, name) < math.inf]
    asked = ", ".join(f"{name}={getattr(limits, name):g}" for name in open_limits)
    unchecked = f"; the limit {asked} was not checked" if asked else ""
    notes = [
        f"No latency or energy was measured on {device.title}{unchecked}: measure it there.",
        device.claim(),
    ]
    limits = replace(limits, **dict.fromkeys(open_limits, math.inf))
    return (limits.within(device) if isinstance(device, Microcontroller) else limits), notes


def _other_data(network: MeasuredNetwork, task: Task) -> tuple[Breach, ...]:
    if network.data == task.data:
        return ()
    phrase = f"was measured on {network.data}, and how accurate it is on {task.data} is not known"
    return (Breach("data", phrase, math.inf, math.inf),)


def _no_network_for(task: Task, networks: Sequence[MeasuredNetwork]) -> str:
    known = ", ".join(sorted({network.data for network in networks}))
    return f"No network fits: none was measured on {task.data}, only on {known}."


def _doubt(network: MeasuredNetwork, limits: DeviceLimits) -> str:
    """Return what to add where the test set does not settle whether the accuracy is high enough."""
    if network.accuracy_low >= limits.accuracy:
        return ""
    return f"; the low end of its interval is below the required {limits.accuracy:.2%}"
