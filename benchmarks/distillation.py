"""Does distillation pay? The recorded students of the study, judged again on the test images.

`course_lib.pipelines.distillation_study` trained each student in ten epochs over the 10,000 training images
that ship with the course, once alone and once by each method, with five seeds. Here their shipped weights
classify the 10,000 test images again; gains on the student alone are points of accuracy, taken seed by seed,
with Student's 95 % interval over the seeds. ``methods_with_positive_interval`` names those whose interval
lies above 0.

``compression`` and ``kept_fraction`` compare "compact", which "residual" has taught on all training images,
with its teacher: how many times fewer parameters it has, and its right answers as a part of the teacher's.
Both are missing in a checkout whose zoo lacks "compact".

``equal_to_recorded`` says whether all these networks give as many right answers as on record; it is missing
without "compact", unless a student differs. The quick run judges the students of the first seed only and
takes the others' from their records.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from benchmarks.cli import Target, run
from course_lib.architectures import list_zoo, load_card, load_pretrained
from course_lib.benchmarking.intervals import proportion_interval
from course_lib.pipelines.distillation_arms import BASELINE
from course_lib.pipelines.distillation_records import RECORDED, RunRecord, load_student
from course_lib.pipelines.distillation_result import StudyResult, load_study
from course_lib.pipelines.distillation_study import count_correct, load_examples
from course_lib.training import Examples

THREADS = 2
STUDENT, TEACHER = "compact", "residual"
TARGETS = {
    "positive_intervals": Target(low=2),
    "compression": Target(low=10),
    "kept_fraction": Target(low=0.98),
    "equal_to_recorded": Target(low=1),
}


def judge_again(records: Sequence[RunRecord], folder: Path, test: Examples) -> list[RunRecord]:
    """Return the records with the right answers that their weights give now."""
    return [
        replace(record, correct=count_correct(load_student(record, folder), test), total=len(test.labels))
        for record in tqdm(records, unit="student", file=sys.stderr)
    ]


def gains(result: StudyResult) -> dict[str, Any]:
    """Return the gain of each method in points, with its interval."""
    found: dict[str, Any] = {}
    for method in result.methods:
        if method != BASELINE:
            gain, interval = result.gain(method)
            found[f"gain_{method}_pt"] = 100 * gain
            found[f"gain_{method}_pt_interval"] = [100 * end for end in interval]
    return found


def against_teacher(test: Examples) -> tuple[dict[str, Any], bool | None]:
    """Return the figures of the small student beside its teacher, and whether both are as on their cards.

    None, and figures of None, where the zoo lacks the student, so that nothing was compared.
    """
    names = (STUDENT, TEACHER)
    if STUDENT not in list_zoo():
        return {"compression": None, "kept_fraction": None}, None
    student, teacher = (load_card(name) for name in names)
    correct = [count_correct(load_pretrained(name), test) for name in names]
    figures = {
        "compression": teacher.params / student.params,
        "kept_fraction": correct[0] / correct[1],
        "student_accuracy": correct[0] / len(test.labels),
        "student_accuracy_interval": list(proportion_interval(correct[0], len(test.labels))),
        "teacher_accuracy": correct[1] / len(test.labels),
        "teacher_accuracy_interval": list(proportion_interval(correct[1], len(test.labels))),
    }
    return figures, correct == [student.correct, teacher.correct]


def measure(quick: bool, folder: Path = RECORDED) -> dict[str, Any]:
    """Return the gains, the small student beside its teacher, and whether all are as recorded."""
    torch.set_num_threads(THREADS)
    test = load_examples("test")
    study = load_study(folder)
    first = min(record.seed for record in study.records)
    chosen = [record for record in study.records if not quick or record.seed == first]
    judged = judge_again(chosen, folder, test)
    others = [record for record in study.records if record not in chosen]
    result = replace(study, records=(*judged, *others))
    beside, as_on_cards = against_teacher(test)
    positive = result.methods_with_positive_interval
    return {
        "methods_with_positive_interval": list(positive),
        "positive_intervals": len(positive),
        **beside,
        "equal_to_recorded": judged == chosen and as_on_cards,
        **gains(result),
        "students": len(study.records),
        "students_judged": len(judged),
        "accuracies": {name: result.accuracies(name) for name in result.methods},
    }


if __name__ == "__main__":
    run(measure, TARGETS, threads=THREADS)
