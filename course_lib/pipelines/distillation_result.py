"""What the distillation study found: what each method gains on the student alone, over the seeds.

>>> result = load_study()                                                               # doctest: +SKIP
>>> gain, interval = result.gain("response")                                            # doctest: +SKIP
>>> print(result)                                                                       # doctest: +SKIP

The student alone and the student of a method with the same seed start from the same weights and see the same
pictures in the same order, so differences are taken seed by seed (see `course_lib.benchmarking.paired`).
Eight methods have eight intervals: when none had an effect, one of them would still lie above 0 by chance in
about one study in six (1 − 0.975⁸ = 18 %, were they independent).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from course_lib.benchmarking import Interval
from course_lib.benchmarking.paired import paired_gain
from course_lib.benchmarking.table import MeasuredResult, Row
from course_lib.errors import CheckpointError, MeasurementError
from course_lib.pipelines.distillation_arms import ARMS, BASELINE
from course_lib.pipelines.distillation_records import RECORDED, RunRecord, load_records, run_name


@dataclass(frozen=True, kw_only=True)
class StudyResult(MeasuredResult):
    """All finished runs, with differences to the student alone taken seed by seed."""

    records: tuple[RunRecord, ...]
    derived: ClassVar[tuple[str, ...]] = ("methods_with_positive_interval",)

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that were run, in the order of the study."""
        found = {record.method for record in self.records}
        return tuple(name for name in ARMS if name in found)

    @property
    def methods_with_positive_interval(self) -> tuple[str, ...]:
        """Those whose gain on the student alone has a 95 % interval above 0."""
        return tuple(name for name in self.methods if self._can_compare(name) and self.gain(name)[1].low > 0)

    def accuracies(self, method: str) -> dict[int, float]:
        """Return seed → accuracy on the test images, in the order of the seeds.

        Raises
        ------
        MeasurementError
            If the method was not run.
        """
        found = sorted((record.seed, record.accuracy) for record in self.records if record.method == method)
        if not found:
            raise MeasurementError(
                f"The study holds no run of {method!r}; run were {', '.join(self.methods)}."
            )
        return dict(found)

    def gain(self, method: str) -> tuple[float, Interval]:
        """Return the mean gain on the student alone over the seeds that have both, and its 95 % interval.

        Raises
        ------
        MeasurementError
            If the method or the student alone was not run, or fewer than two seeds have both.
        """
        own, alone = self.accuracies(method), self.accuracies(BASELINE)
        seeds = [seed for seed in own if seed in alone]
        return paired_gain([own[seed] for seed in seeds], [alone[seed] for seed in seeds])

    def table_rows(self) -> list[Row]:
        return [self._row(name) for name in self.methods]

    def _row(self, method: str) -> Row:
        found = self.accuracies(method)
        row = {
            "method": method,
            "seeds": str(len(found)),
            "accuracy": f"{sum(found.values()) / len(found):.2%}",
        }
        if not self._can_compare(method):
            return {**row, "gain on alone": "–", "95 % interval": "–"}
        mean, interval = self.gain(method)
        return {
            **row,
            "gain on alone": f"{100 * mean:+.2f} points",
            "95 % interval": f"{100 * interval.low:+.2f} to {100 * interval.high:+.2f}",
        }

    def _can_compare(self, method: str) -> bool:
        seeds = {
            name: {record.seed for record in self.records if record.method == name}
            for name in (method, BASELINE)
        }
        return method != BASELINE and len(seeds[method] & seeds[BASELINE]) > 1

    def notes(self) -> list[str]:
        first = self.records[0]
        what = (
            f"Student {first.settings['student']}, judged on {first.total:,} test images; gains are means "
            "over the seeds, taken seed by seed."
        )
        return [what, *super().notes()]


def load_study(folder: Path = RECORDED) -> StudyResult:
    """Return the study as recorded, with the machine of its first run.

    Raises
    ------
    MeasurementError
        If the folder holds no record.
    CheckpointError
        If one is damaged, or was made with settings other than those of the first, apart from arm and seed.
    """
    records = load_records(folder)
    if not records:
        raise MeasurementError(
            f"There is no record of the distillation study in {folder}; make experiments trains it."
        )
    for record in records:
        _require_same_settings(records[0], record, folder)
    return StudyResult(machine=records[0].machine_record(), records=records)


def _require_same_settings(first: RunRecord, other: RunRecord, folder: Path) -> None:
    ours, theirs = _shared_settings(first), _shared_settings(other)
    different = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
    if different:
        one, another = (run_name(record.method, record.seed) for record in (first, other))
        raise CheckpointError(
            f"The runs {one} and {another} differ in {', '.join(different)}, so that their students cannot "
            f"be compared; delete the record of one of them in {folder} and run the study again."
        )


def _shared_settings(record: RunRecord) -> dict[str, Any]:
    """Return the settings that all runs of a study have in common: all but the arm and the seed."""
    training = {name: value for name, value in record.settings["training"].items() if name != "seed"}
    return {name: value for name, value in record.settings.items() if name != "arm"} | {"training": training}
