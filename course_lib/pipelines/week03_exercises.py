"""The exercises of week 3: soft targets, the loss, the other classes, adapters, a paired interval, fairness.

Numbers are compared with the library's, for lists of scores that are small enough to follow by hand.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from course_lib.distillation.decoupled import decoupled_parts
from course_lib.distillation.features import make_adapter
from course_lib.distillation.method import Shape
from course_lib.distillation.response import soft_loss, soft_targets
from course_lib.pipelines.exercises import UNTOUCHED, Feedback, check_function

Row = Sequence[float]

TARGETS = (
    ([2.0, 0.0], 1.0, 0),
    ([2.0, 0.0], 2.0, 0),
    ([6.0, 3.0, -1.0, 0.0], 4.0, 1),
    ([5.0, 5.0, 1.0], 0.5, 2),
)
"""(scores, temperature, class)."""

PAIRS = (
    ([2.0, 0.0], [0.0, 0.0], 2.0),
    ([4.0, 1.0, -2.0], [1.0, 2.0, 0.5], 1.0),
    ([4.0, 1.0, -2.0], [1.0, 2.0, 0.5], 6.0),
)
"""(teacher's scores, student's scores, temperature): the lesson's example first."""

LABELLED = (
    ([3.0, 0.5, 0.0, -1.0], [1.0, 1.5, 0.0, 0.5], 0),
    ([0.0, 2.0, 1.0], [1.0, 0.0, 0.5], 1),
    ([8.0, 1.0, 2.0, 0.0], [8.0, 1.0, 0.0, 2.0], 0),
)
"""(teacher's scores, student's scores, label)."""

SHAPES = (((24, 14, 14), (32, 14, 14)), ((48, 7, 7), (48, 7, 7)), ((16, 28, 28), (64, 14, 14)))
"""(shape of the student's maps, shape of the teacher's): one where no adapter is needed."""

ACCURACIES = (
    ([0.80, 0.84], [0.78, 0.80], 12.706),
    ([0.86, 0.87, 0.858, 0.862, 0.865], [0.84, 0.857, 0.845, 0.833, 0.838], 2.776),
    ([0.70, 0.80, 0.90], [0.69, 0.78, 0.89], 4.303),
)
"""(accuracies with the method, accuracies alone, Student's t): the second is like the study's."""

STUDIES = {
    "A": "the student alone and the taught one: same first weights, same pictures, same epochs, five seeds",
    "B": "a taught student after 60 epochs, and the lone one after 20, whose curve was already flat",
    "C": "both at their best of five seeds",
    "D": "both with one seed, judged on 10,000 test images; the interval over the images is above 0",
    "E": "five seeds; the settings of both students chosen on validation images, both judged on test images",
    "F": "a taught student of 17,000 parameters, and a lone one of 9,000",
}
"""Letter → how a comparison was made."""
FAIR = {"A", "E"}


def _row(scores: Row) -> Tensor:
    return torch.tensor([list(scores)], dtype=torch.float64)


def check_soft_target(function: Callable[[list[float], float, int], float]) -> Feedback:
    """Check the soft target of one class: called with scores, temperature and the class."""

    def right(scores: Row, temperature: float, label: int) -> float:
        return float(soft_targets(_row(scores), temperature)[0, label])

    def spread(values: Row, label: int) -> float:
        return values[label] / sum(values)

    return check_function(
        function,
        TARGETS,
        lambda value, *case: math.isclose(value, right(*case), rel_tol=1e-6),
        expected=right,
        what="your soft target",
        why="it is all that the teacher says to the student.",
        mistakes={
            "Divide the scores by T, not the probabilities.": lambda scores, t, label: (
                right(scores, 1.0, label) / t
            ),
            "This multiplies by T, which makes the teacher surer.": lambda scores, t, label: right(
                scores, 1 / t, label
            ),
            "This is the softmax at T = 1: divide the scores by T first.": lambda scores, t, label: right(
                scores, 1.0, label
            ),
            "The targets of all classes have to add up to 1: divide by the sum.": lambda scores, t, label: (
                math.exp(scores[label] / t)
            ),
            "Take the exponential before you divide by the sum.": lambda scores, t, label: spread(
                scores, label
            ),
        },
    )


def check_soft_loss(function: Callable[[list[float], list[float], float], float]) -> Feedback:
    """Check T² · KL(teacher ‖ student): called with the teacher's scores, the student's, and T."""

    def right(teacher: Row, student: Row, temperature: float) -> float:
        return float(soft_loss(_row(student), _row(teacher), temperature))

    def entropy(teacher: Row, temperature: float) -> float:
        p = soft_targets(_row(teacher), temperature)
        return float(-(p * p.log()).sum())

    return check_function(
        function,
        PAIRS,
        lambda value, *case: math.isclose(value, right(*case), rel_tol=1e-6),
        expected=right,
        what="your soft loss",
        why="without the factor, alpha would mean something else at each temperature.",
        mistakes={
            "This is the divergence; multiply it by T².": lambda p, q, t: right(p, q, t) / t**2,
            "Multiply by T², not by T: both the slope of the softmax and the difference of the targets "
            "shrink like 1/T.": lambda p, q, t: right(p, q, t) / t,
            "The two are exchanged: the teacher's p weighs the logarithms.": lambda p, q, t: right(q, p, t),
            "The two are exchanged, and the factor T² is missing.": lambda p, q, t: right(q, p, t) / t**2,
            "This is the cross-entropy with the soft targets: same gradient, but it does not reach 0.": (
                lambda p, q, t: right(p, q, t) + t**2 * entropy(p, t)
            ),
            "The sign is the wrong way round: a divergence is never below 0.": lambda p, q, t: (
                -right(p, q, t)
            ),
        },
    )


def check_others(function: Callable[[list[float], list[float], int], float]) -> Feedback:
    """Check NCKD at T = 1: called with the teacher's scores, the student's, and the label."""

    def parts(teacher: Row, student: Row, label: int) -> tuple[float, float, float]:
        found = decoupled_parts(_row(student), _row(teacher), torch.tensor([label]), 1.0)
        sure = float(soft_targets(_row(teacher), 1.0)[0, label])
        return float(found.target), float(found.others), 1 - sure

    def without_new_sums(teacher: Row, student: Row, label: int) -> float:
        p, q = (soft_targets(_row(each), 1.0)[0] for each in (teacher, student))
        return float(sum(p[i] * (p[i] / q[i]).log() for i in range(len(p)) if i != label))

    return check_function(
        function,
        LABELLED,
        lambda value, *case: math.isclose(value, parts(*case)[1], rel_tol=1e-6),
        expected=lambda *case: parts(*case)[1],
        what="your NCKD",
        why="what a sure teacher says of the other classes is its most reliable knowledge.",
        mistakes={
            "The probabilities of the other classes have to add up to 1 again: divide by 1 − p of the label, "
            "for teacher and student.": without_new_sums,
            "This is what the response loss counts: the factor 1 − p is what DKD leaves out.": lambda *case: (
                parts(*case)[1] * parts(*case)[2]
            ),
            "This is TCKD, label against all others.": lambda *case: parts(*case)[0],
            "This is the whole divergence; leave the label out.": lambda *case: (
                parts(*case)[0] + parts(*case)[2] * parts(*case)[1]
            ),
            "Teacher and student are exchanged.": lambda p, q, label: parts(q, p, label)[1],
        },
    )


def check_adapter(function: Callable[[Shape, Shape], float]) -> Feedback:
    """Check the weights of a hint's adapter: called with the shapes (C, H, W) of both layers' maps."""

    def right(student: Shape, teacher: Shape) -> int:
        return sum(each.numel() for each in make_adapter(student, teacher).parameters())

    return check_function(
        function,
        SHAPES,
        lambda value, *case: value == right(*case),
        expected=right,
        what="your number of weights",
        why="an adapter is thrown away after the training: it costs time there and nothing on the device.",
        mistakes={
            "Where the channels are equal already, no adapter is needed.": lambda s, t: s[0] * t[0],
            "A 1×1 convolution has the same weights at every place: H and W do not matter.": lambda s, t: (
                s[0] * t[0] * s[1] * s[2] if s[0] != t[0] else 0
            ),
            "The kernel is 1×1, not 3×3.": lambda s, t: 9 * s[0] * t[0] if s[0] != t[0] else 0,
            "The library's adapter has no bias.": lambda s, t: s[0] * t[0] + t[0] if s[0] != t[0] else 0,
        },
    )


def check_low_end(function: Callable[[list[float], list[float], float], float]) -> Feedback:
    """Check the lower end of the paired interval: called with both lists and Student's t."""

    def moments(values: Row) -> tuple[float, float]:
        mean = sum(values) / len(values)
        return mean, sum((each - mean) ** 2 for each in values)

    def end(first: Row, second: Row, t: float) -> float:
        mean, squares = moments([a - b for a, b in zip(first, second, strict=True)])
        return mean - t * math.sqrt(squares / (len(first) - 1) / len(first))

    def longer(first: Row, second: Row, t: float, factor: float) -> float:
        return end(first, second, t * factor)

    def unpaired(first: Row, second: Row, t: float) -> float:
        (a, squares_a), (b, squares_b) = moments(first), moments(second)
        return a - b - t * math.sqrt((squares_a + squares_b) / (len(first) - 1) / len(first))

    return check_function(
        function,
        ACCURACIES,
        lambda value, *case: math.isclose(value, end(*case), abs_tol=1e-9),
        expected=end,
        what="your lower end",
        why="if it is above 0, five seeds are enough to say that the method helps here.",
        mistakes={
            "Take the differences seed by seed first; their spread counts, not that of both lists.": unpaired,
            "The variance divides by n − 1, for the mean was estimated from the same values.": (
                lambda a, b, t: longer(a, b, t, math.sqrt((len(a) - 1) / len(a)))
            ),
            "This is the range of single seeds: the spread of a mean is √n times smaller.": (
                lambda a, b, t: longer(a, b, t, math.sqrt(len(a)))
            ),
            "This is the mean gain; subtract t times its spread.": lambda a, b, t: (sum(a) - sum(b)) / len(a),
            "This is the upper end.": lambda a, b, t: -end(b, a, t),
        },
    )


def check_fair(answer: object) -> Feedback:
    """Check which of `STUDIES` allow to say that the method helped: a set of letters."""
    what = f"a set of letters out of {', '.join(STUDIES)}"
    if any(answer is each for each in UNTOUCHED):
        return Feedback("open", f"give {what}, and run both cells again.")
    named = set(answer) if isinstance(answer, set | frozenset | list | tuple) else {answer}
    if not named <= set(STUDIES):
        return Feedback("wrong", f"expected {what}; your answer is {answer!r}.")
    if named == FAIR:
        return Feedback(
            "right", "in these two nothing differs but the method, and nothing was chosen by the judge."
        )
    slips = {
        "A": "A is this week's study: only the loss differs.",
        "B": "In B the budgets differ: a flat curve, at a falling rate, says nothing of more epochs.",
        "C": "In C the best of five is compared, which rewards spread: a noisier method has a better best.",
        "D": "In D the interval is about these two networks; another seed could turn the difference round.",
        "E": "In E both were tuned, and the test images chose nothing.",
        "F": "In F the larger network could win without a teacher.",
    }
    said = [slips[letter] for letter in STUDIES if letter in named ^ FAIR]
    return Feedback("wrong", " ".join(["some are missing or too many.", *said]))
