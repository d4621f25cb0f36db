"""What the lottery ticket experiment found: accuracies by seed, and differences with their intervals.

The same seed gives a ticket and its controls the same batches, so differences are taken seed by seed, with
Student's interval over the seeds: d̄ ± t · s/√n.

Worked example: two seeds, tickets at 0.80 and 0.84, new weights at 0.78 and 0.80: d = 0.02 and 0.04, mean
0.03, s = 0.0141, t = 12.7 for one degree of freedom, interval −0.097 to 0.157. Two seeds show nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, get_args

from course_lib.benchmarking import Interval
from course_lib.benchmarking.table import MeasuredResult, Row
from course_lib.errors import MeasurementError

Arm: TypeAlias = Literal["ticket", "new weights", "shuffled mask"]
DENSE = "dense"


@dataclass(frozen=True)
class TicketRecord:
    """One trained network: its arm (``"dense"``, or one of `Arm`) and its accuracy on the test images."""

    seed: int
    arm: str
    sparsity: float
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class LotteryResult(MeasuredResult):
    """All trained networks, with differences between the arms taken seed by seed."""

    records: tuple[TicketRecord, ...]
    images: int
    derived: ClassVar[tuple[str, ...]] = ()

    @property
    def sparsities(self) -> tuple[float, ...]:
        """The sparsities of the tickets, rising."""
        return tuple(sorted({each.sparsity for each in self.records} - {0.0}))

    def accuracies(self, arm: str, sparsity: float = 0.0) -> tuple[float, ...]:
        """Return the accuracies of an arm, one a seed in the order of the seeds.

        Raises
        ------
        MeasurementError
            If no such network was trained.
        """
        found = [each for each in self.records if (each.arm, each.sparsity) == (arm, sparsity)]
        if not found:
            raise MeasurementError(
                f"There is no arm {arm!r} at sparsity {sparsity}; trained were "
                f"{sorted({(each.arm, each.sparsity) for each in self.records})}."
            )
        return tuple(each.accuracy for each in sorted(found, key=lambda each: each.seed))

    def gain(self, control: str, sparsity: float) -> tuple[float, Interval]:
        """Return by how much tickets beat a control, or ``"dense"``: mean difference and 95 % interval."""
        ticket = self.accuracies("ticket", sparsity)
        return paired_gain(ticket, self.accuracies(control, 0.0 if control == DENSE else sparsity))

    def table_rows(self) -> list[Row]:
        arms = [(DENSE, 0.0), *((arm, each) for each in self.sparsities for arm in get_args(Arm))]
        return [self._row(arm, sparsity) for arm, sparsity in arms]

    def _row(self, arm: str, sparsity: float) -> Row:
        found = self.accuracies(arm, sparsity)
        row = {"weights pruned": f"{sparsity:.0%}", "network": arm, "accuracy": f"{_mean(found):.2%}"}
        if arm == DENSE:
            return {**row, "ticket gains": "–", "95 % interval": "–"}
        control = DENSE if arm == "ticket" else arm
        mean, interval = self.gain(control, sparsity)
        return {
            **row,
            "ticket gains": f"{100 * mean:+.2f} points on {control}",
            "95 % interval": f"{100 * interval.low:+.2f} to {100 * interval.high:+.2f}",
        }

    def notes(self) -> list[str]:
        seeds = len(self.accuracies(DENSE))
        return [f"Means of {seeds} seeds, judged on {self.images:,} images.", *super().notes()]


def paired_gain(
    first: Sequence[float], second: Sequence[float], confidence: float = 0.95
) -> tuple[float, Interval]:
    """Return the mean of first − second, pair by pair, and Student's interval for it.

    Raises
    ------
    MeasurementError
        If there are fewer than two pairs, or not equally many of both.
    """
    if len(first) != len(second) or len(first) < 2:
        raise MeasurementError(
            f"paired_gain got {len(first)} and {len(second)} values; it needs two pairs or more, from the "
            "same seeds."
        )
    # Half a second of import, which only those wait for who ask.
    from scipy.stats import t

    differences = [a - b for a, b in zip(first, second, strict=True)]
    mean, count = _mean(differences), len(differences)
    spread = math.sqrt(sum((each - mean) ** 2 for each in differences) / (count - 1) / count)
    reach = float(t.ppf((1 + confidence) / 2, count - 1)) * spread
    return mean, Interval(mean - reach, mean + reach, confidence)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
