"""Which model belongs on this device? The cheapest one among those that keep the limits.

With a latency l, an energy e, a bandwidth b and a cost c for each candidate,

    minimize    α·l + β·e + γ·b + δ·c
    subject to  memory ≤ M,   MACs ≤ C,   power ≤ P,   accuracy ≥ A,

where the four weights are exchange rates: they say what a millisecond, a millijoule, a kilobyte and a unit of
money are worth beside each other, and so give the sum one unit. The limits are no prices: a candidate that
breaks one is out, however fast it is. There are few candidates, so all of them are tried.

Worked example: α = 1 a ms and γ = 0.01 a kB. A model of 2 ms and 100 kB costs 2 + 1 = 3, one of 1 ms and
300 kB costs 1 + 3 = 4: the slower one wins, until a millisecond is worth more than 2.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from numbers import Real
from typing import TypeGuard

from course_lib.benchmarking.number_text import format_bytes, significant
from course_lib.benchmarking.table import Row, html_table, text_table
from course_lib.errors import MeasurementError, SettingError, UnknownNameError


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a value is a number, NumPy's included, and no text or None."""
    return isinstance(value, Real)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model ready to run on a device, with what it was measured to need for one input.

    ``bandwidth_bytes`` is what has to be sent (a file for an update, or data for each input), ``cost`` is in
    any one unit of money, ``memory_bytes`` what the model holds at its worst moment, and ``accuracy`` a
    fraction.

    Raises
    ------
    MeasurementError
        If a number is not one, negative or not finite, or the latency is zero.
    """

    name: str
    latency_ms: float
    energy_mj: float
    bandwidth_bytes: float
    cost: float
    memory_bytes: float
    macs: int
    accuracy: float

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "name" and not (is_number(value) and 0 <= value < math.inf):
                raise MeasurementError(
                    f"{self.name} has {field.name}={value!r}; pass a measured number of at least 0."
                )
        if self.latency_ms == 0:
            raise MeasurementError(f"{self.name} has latency_ms=0; measure it with measure_latency.")

    @property
    def power_w(self) -> float:
        """Power while it computes: energy / latency, since 1 mJ / 1 ms = 1 W."""
        return self.energy_mj / self.latency_ms


@dataclass(frozen=True, kw_only=True)
class EdgeWeights:
    """The exchange rates α, β, γ and δ, each at least 0.

    Raises
    ------
    SettingError
        If one is not a number, negative or not finite.
    """

    per_ms: float = 0.0
    per_mj: float = 0.0
    per_kb: float = 0.0
    per_cost: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            price = getattr(self, field.name)
            if not (is_number(price) and 0 <= price < math.inf):
                raise SettingError(
                    f"{field.name}={price!r} is not a price: pass a number of 0 or more, "
                    f"for example EdgeWeights({field.name}=1.0)."
                )


@dataclass(frozen=True, kw_only=True)
class EdgeLimits:
    """What a candidate must keep; the defaults allow everything."""

    memory_bytes: float = math.inf
    macs: float = math.inf
    power_w: float = math.inf
    accuracy: float = 0.0

    def broken_by(self, candidate: Candidate) -> list[str]:
        """Return one phrase for each limit that the candidate breaks."""
        kept = {
            f"needs {format_bytes(candidate.memory_bytes)} of {format_bytes(self.memory_bytes)} memory": (
                candidate.memory_bytes <= self.memory_bytes
            ),
            f"computes {candidate.macs:,} of {self.macs:,.0f} MACs": candidate.macs <= self.macs,
            f"draws {significant(candidate.power_w)} of {significant(self.power_w)} W": (
                candidate.power_w <= self.power_w
            ),
            f"is right in {candidate.accuracy:.2%} of the required {self.accuracy:.2%}": (
                candidate.accuracy >= self.accuracy
            ),
        }
        return [phrase for phrase, holds in kept.items() if not holds]


@dataclass(frozen=True, repr=False)
class Choice:
    """The candidates with their objectives and the limits they break, as given; and the best, if any."""

    candidates: tuple[Candidate, ...]
    objectives: tuple[float, ...]
    broken: tuple[tuple[str, ...], ...]

    @property
    def best(self) -> Candidate | None:
        """The candidate with the smallest objective among those that keep all limits; None if none does."""
        allowed = [index for index, broken in enumerate(self.broken) if not broken]
        if not allowed:
            return None
        return self.candidates[min(allowed, key=self.objectives.__getitem__)]

    def why(self, name: str) -> str:
        """Say in one sentence why the candidate called ``name`` is the best or is not.

        Raises
        ------
        UnknownNameError
            If there is no such candidate.
        """
        names = [candidate.name for candidate in self.candidates]
        if name not in names:
            raise UnknownNameError("candidate", name, names)
        index = names.index(name)
        if self.broken[index]:
            return f"{name} is out: it {' and '.join(self.broken[index])}."
        best, own = self.best, significant(self.objectives[index])
        if best is None or best.name == name:
            return f"{name} keeps all limits at the smallest objective, {own}."
        theirs = self.objectives[names.index(best.name)]
        return (
            f"{name} keeps all limits, but its objective of {own} is above "
            f"the {significant(theirs)} of {best.name}."
        )

    def table_rows(self) -> list[Row]:
        """Return one row a candidate, the best marked."""
        return [
            {
                "model": candidate.name,
                "latency ms": significant(candidate.latency_ms),
                "energy mJ": significant(candidate.energy_mj),
                "bandwidth": format_bytes(candidate.bandwidth_bytes),
                "cost": significant(candidate.cost),
                "memory": format_bytes(candidate.memory_bytes),
                "MACs": f"{candidate.macs:,}",
                "accuracy": f"{candidate.accuracy:.2%}",
                "objective": significant(objective),
                "verdict": "; ".join(broken) or ("best" if candidate is self.best else "allowed"),
            }
            for candidate, objective, broken in zip(
                self.candidates, self.objectives, self.broken, strict=True
            )
        ]

    def __str__(self) -> str:
        return text_table(self.table_rows())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(self.table_rows())


def edge_objective(candidate: Candidate, weights: EdgeWeights) -> float:
    """Return α·latency + β·energy + γ·bandwidth + δ·cost, in the unit that the weights are prices in."""
    return (
        weights.per_ms * candidate.latency_ms
        + weights.per_mj * candidate.energy_mj
        + weights.per_kb * candidate.bandwidth_bytes / 1000
        + weights.per_cost * candidate.cost
    )


def choose(candidates: Sequence[Candidate], weights: EdgeWeights, limits: EdgeLimits | None = None) -> Choice:
    """Weigh every candidate and hold it against the limits.

    Raises
    ------
    SettingError
        If there are no candidates, or two have the same name.
    """
    names = [candidate.name for candidate in candidates]
    if not names or len(set(names)) < len(names):
        raise SettingError(
            f"choose got the candidates {names}: pass at least one, each with a name of its own."
        )
    limits = limits or EdgeLimits()
    return Choice(
        candidates=tuple(candidates),
        objectives=tuple(edge_objective(candidate, weights) for candidate in candidates),
        broken=tuple(tuple(limits.broken_by(candidate)) for candidate in candidates),
    )
