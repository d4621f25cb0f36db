"""A network with what was measured of it: the plain records that `shortlist` chooses from.

One record is one network at one precision, as ``benchmarks/families.py`` writes them:

    {"name": "tiny", "accuracy": 0.8953, "accuracy_low": 0.8891, "accuracy_high": 0.9012, "macs": 1200000,
     "params": 9000, "size_bytes": 40000, "p50_ms": 0.11, "peak_activation_bytes": 31360}
"""

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from course_lib.edge.objective import Candidate, is_number
from course_lib.errors import DataError, MeasurementError


@dataclass(frozen=True, kw_only=True)
class MeasuredNetwork:
    """What is known of a network; all numbers are for one input.

    Attributes
    ----------
    accuracy, accuracy_low, accuracy_high
        Fraction of the test set classified rightly, and its 95 % interval.
    size_bytes
        Of the file that the device stores.
    p50_ms
        Median latency on the machine on which the record was made.
    peak_activation_bytes
        Peak of the live activations (`course_lib.edge.memory_plan`).
    energy_mj
        Energy on that machine, None where it was not measured.
    data
        The data set that the accuracy was measured on.

    Raises
    ------
    MeasurementError
        If a number is not one, negative or not finite, the latency is zero, or the accuracy is not inside its
        interval or the interval not inside [0, 1].
    """

    name: str
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    macs: int
    params: int
    size_bytes: int
    p50_ms: float
    peak_activation_bytes: int
    energy_mj: float | None = None
    data: str = "fashion-mnist"

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            unmeasured = value is None and field.name == "energy_mj"
            if field.name not in ("name", "data") and not unmeasured and not is_number(value):
                raise MeasurementError(
                    f"{self.name} has {field.name}={value!r}; pass a measured number of at least 0."
                )
        self.as_candidate()
        if not 0 <= self.params < math.inf:
            raise MeasurementError(
                f"{self.name} has params={self.params!r}; pass a counted number of at least 0."
            )
        if not 0 <= self.accuracy_low <= self.accuracy <= self.accuracy_high <= 1:
            raise MeasurementError(
                f"{self.name} has accuracy={self.accuracy!r} with an interval from {self.accuracy_low!r} to "
                f"{self.accuracy_high!r}; expected fractions in rising order, with the accuracy between the "
                "ends."
            )

    @property
    def power_w(self) -> float | None:
        """Power while it computes, energy / latency; None where the energy was not measured."""
        return None if self.energy_mj is None else self.energy_mj / self.p50_ms

    @property
    def accuracy_text(self) -> str:
        """The accuracy with its interval, as sentences show it."""
        return f"{self.accuracy:.2%} ({self.accuracy_low:.2%} to {self.accuracy_high:.2%})"

    def as_candidate(self) -> Candidate:
        """Return the network as `choose` weighs it; an update sends the whole file, and nothing is paid."""
        return Candidate(
            name=self.name,
            latency_ms=self.p50_ms,
            energy_mj=0.0 if self.energy_mj is None else self.energy_mj,
            bandwidth_bytes=self.size_bytes,
            cost=0.0,
            memory_bytes=self.peak_activation_bytes,
            macs=self.macs,
            accuracy=self.accuracy,
        )


def network_of(record: Mapping[str, Any]) -> MeasuredNetwork:
    """Return a plain record as a network; keys that are not known here are left out.

    Raises
    ------
    DataError
        If it is no record, or lacks a number.
    MeasurementError
        If a number is not possible.
    """
    needed = [field.name for field in fields(MeasuredNetwork) if field.default is MISSING]
    if not isinstance(record, Mapping):
        raise DataError(
            f"{record!r} is no record of a network: pass a MeasuredNetwork, or a record with "
            f"{', '.join(needed)}, as benchmarks/families.py writes them."
        )
    missing = [name for name in needed if name not in record]
    if missing:
        raise DataError(
            f"The record of {record.get('name', 'a network without a name')} lacks {', '.join(missing)}; "
            f"expected {', '.join(needed)}, as benchmarks/families.py writes them."
        )
    known = [field.name for field in fields(MeasuredNetwork)]
    return MeasuredNetwork(**{name: record[name] for name in known if name in record})
