"""What the lottery ticket experiment found: accuracies by seed, and differences with their intervals.

The same seed gives a ticket and its controls the same batches, so differences are taken seed by seed, with
the interval of `course_lib.benchmarking.paired` over the seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, get_args

from course_lib.benchmarking import Interval
from course_lib.benchmarking.paired import paired_gain
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


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
