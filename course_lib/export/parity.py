"""Do two versions of a model compute the same? Parity is checked on outputs, element by element.

Floating-point addition is not associative, so two correct implementations differ in the last digits. The
criterion is the usual one (that of ``numpy.allclose``): with reference r and candidate c,

    |c − r| ≤ absolute_tolerance + relative_tolerance · |r|     for every element,

where NaN never passes and an infinity passes only against the same infinity.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from course_lib.errors import ParityError, SettingError

Array = NDArray[Any]


@dataclass(frozen=True)
class ParityReport:
    """How far two sets of outputs lie apart.

    Attributes
    ----------
    shape
        Shape of the compared outputs, batch first.
    max_absolute
        Largest |c − r|; NaN if there is one.
    max_relative
        Largest |c − r| / |r|, with 0 / 0 = 0; infinite where only the reference is 0.
    worst_index
        The element furthest beyond (or, if all pass, nearest to) its tolerance.
    reference_value, candidate_value
        The two values of that element.
    argmax_agreement
        Fraction of the predictions (argmax over axis 1, the classes) that are equal, 0 to 1.
    within_tolerance
        Whether every element passes.
    """

    shape: tuple[int, ...]
    max_absolute: float
    max_relative: float
    worst_index: tuple[int, ...]
    reference_value: float
    candidate_value: float
    argmax_agreement: float
    absolute_tolerance: float
    relative_tolerance: float
    within_tolerance: bool

    def __str__(self) -> str:
        verdict = "agree" if self.within_tolerance else "DIFFER"
        return (
            f"{verdict} | {'×'.join(map(str, self.shape))} outputs | worst absolute {self.max_absolute:.2e} "
            f"| worst relative {self.max_relative:.2e} | at {list(self.worst_index)} "
            f"| argmax equal {self.argmax_agreement:.2%} | allowed {self.allowed}"
        )

    @property
    def allowed(self) -> str:
        """The criterion with its numbers, as text."""
        return f"{self.absolute_tolerance:g} + {self.relative_tolerance:g}·|reference|"


def compare_outputs(
    reference: Array,
    candidate: Array,
    *,
    absolute_tolerance: float = 1e-5,
    relative_tolerance: float = 1e-4,
) -> ParityReport:
    """Measure how far ``candidate`` lies from ``reference``, two arrays of equal shape, without judging.

    Raises
    ------
    ParityError
        If the shapes differ.
    SettingError
        If a tolerance is negative or NaN, or there is nothing to compare.
    """
    if not (absolute_tolerance >= 0 and relative_tolerance >= 0):
        raise SettingError(
            f"Tolerances must be 0 or more, not {absolute_tolerance} and {relative_tolerance}; "
            "pass for example absolute_tolerance=1e-5."
        )
    _check_same_shape(reference, candidate)
    if reference.size == 0:
        raise SettingError("There are no outputs to compare; pass inputs with at least one row.")
    r, c = np.atleast_1d(reference).astype(np.float64), np.atleast_1d(candidate).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = np.where(c == r, 0.0, np.abs(c - r))  # inf − inf would be NaN
        excess = difference - (absolute_tolerance + relative_tolerance * np.abs(r))
        excess = np.where(c == r, -np.inf, excess)  # 0 · inf would be NaN
        relative = np.where(difference == 0, 0.0, difference / np.abs(r))
    worst = np.unravel_index(np.argmax(np.where(np.isnan(excess), np.inf, excess)), r.shape)
    axis = min(1, r.ndim - 1)
    return ParityReport(
        shape=reference.shape,
        max_absolute=float(difference.max()),
        max_relative=float(relative.max()),
        worst_index=tuple(int(i) for i in worst),
        reference_value=float(r[worst]),
        candidate_value=float(c[worst]),
        argmax_agreement=float(np.mean(r.argmax(axis) == c.argmax(axis))),
        absolute_tolerance=absolute_tolerance,
        relative_tolerance=relative_tolerance,
        within_tolerance=bool(np.all(excess <= 0)),
    )


def check_parity(
    reference: Callable[[Array], Array],
    candidate: Callable[[Array], Array],
    inputs: Array | Sequence[Array],
    *,
    absolute_tolerance: float = 1e-5,
    relative_tolerance: float = 1e-4,
) -> ParityReport:
    """Run two versions of a model on the same inputs and raise unless they agree.

    Parameters
    ----------
    inputs
        One batch, or several of different sizes, each run by itself.

    Raises
    ------
    ParityError
        If some output differs by more than the tolerance, or is NaN; the message holds the worst one.
    """
    batches = [inputs] if isinstance(inputs, np.ndarray) else list(inputs)
    if not batches:
        raise SettingError("There are no inputs to compare on; pass at least one batch.")
    outputs: list[tuple[Array, Array]] = []
    for batch in batches:
        outputs.append((reference(batch), candidate(batch)))
        _check_same_shape(*outputs[-1])
    report = compare_outputs(
        np.concatenate([expected for expected, _ in outputs]),
        np.concatenate([found for _, found in outputs]),
        absolute_tolerance=absolute_tolerance,
        relative_tolerance=relative_tolerance,
    )
    if not report.within_tolerance:
        raise ParityError(
            f"The candidate's output {report.candidate_value:.6g} at {list(report.worst_index)} should be "
            f"{report.reference_value:.6g}: the worst difference is {report.max_absolute:.3g}, allowed is "
            f"{report.allowed}, and {report.argmax_agreement:.1%} of the predictions agree; convert the "
            "model again from its eval mode, or pass a larger absolute_tolerance if this is what you expect."
        )
    return report


def _check_same_shape(reference: Array, candidate: Array) -> None:
    if reference.shape != candidate.shape:
        raise ParityError(
            f"The reference's output has shape {reference.shape} and the candidate's {candidate.shape}; "
            "compare two versions of one model, on the same inputs."
        )
