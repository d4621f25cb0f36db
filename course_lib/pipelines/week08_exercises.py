"""The exercises of week 8: what a cached engine depends on, half precision, parity, first launch, targets.

Answers are compared with NumPy's float16, or with the rule that the page states. The tables are made up.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from course_lib.benchmarking.table import Row
from course_lib.pipelines.exercises import UNTOUCHED, Feedback, check_function

NEEDED = {
    "model": "after an update of the model the engine of the old one would be loaded",
    "compiler version": "a new version may not read what an old one wrote, or computes it in another way",
    "options": "whoever asks for other options would get an engine that was built without them",
    "precision": "whoever asks for fp32 would get the int8 engine that was built yesterday",
    "device": "after a change of the GPU the engine of the old one would be loaded, which it does not run",
}
NEEDLESS = {
    "time of day": "it changes without the engine changing, so everything would be built again and again",
    "path of the model": "the same model in another folder would be built again; its content counts",
    "user's name": "two users of one machine would build the same engine twice",
}
"""Facts of the exercise on keys → what goes wrong without them, or with them."""

HALF_CASES = (1.0, 0.3, 1.999, 2.0, 100.0, 1500.0, 60000.0, 0.001)

PARITY_CASES: tuple[tuple[list[float], list[float]], ...] = (
    ([1.0, 2.0, 3.0], [1.0, 2.5, 2.9]),
    ([0.0, 0.0, 5.0, -1.0], [0.25, -0.125, 5.0, -2.0]),
    ([4.0, -4.0], [3.0, -4.5]),
)
LAUNCH_CASES = ((2.0, 1.0, 0.7), (30.0, 12.0, 5.0), (0.5, 0.12, 0.1), (600.0, 40.0, 7.0))
"""Seconds to build, milliseconds a run without and with the built engine."""


@dataclass(frozen=True)
class BuiltFile:
    """A made-up row of a compilation table; ``ratio`` is its latency as a multiple of ONNX Runtime's fp32."""

    runs_on: tuple[str, ...]
    size_kb: int
    worst_difference: float
    ratio: float


FILES = {
    "ONNX Runtime fp32": BuiltFile(("x86", "Android"), 170, 0.0, 1.0),
    "ONNX Runtime int8": BuiltFile(("x86", "Android"), 64, 0.4, 0.8),
    "OpenVINO fp32": BuiltFile(("x86",), 190, 0.000001, 0.9),
    "OpenVINO int8": BuiltFile(("x86",), 70, 0.4, 0.6),
    "LiteRT fp16": BuiltFile(("Android",), 90, 0.002, 1.1),
    "LiteRT int8": BuiltFile(("Android",), 55, 0.45, 0.9),
    "TensorRT fp16 for SM86": BuiltFile(("SM86",), 300, 0.003, 0.09),
    "TensorRT fp16 for SM89": BuiltFile(("SM89",), 300, 0.003, 0.1),
    "TensorRT int8 for SM89": BuiltFile(("SM89",), 250, 0.2, 0.08),
}


@dataclass(frozen=True)
class Device:
    """A made-up device: what it runs, and the limits of its file and of its answers."""

    runs: str
    most_kb: float
    most_difference: float


DEVICES = {
    "phone": Device("Android", 60, 0.5),
    "till": Device("x86", math.inf, 0.0001),
    "robot": Device("SM89", math.inf, 0.05),
}


def check_key(answer: object) -> Feedback:
    """Check the set of facts that belong into the key of an engine cache."""
    known = sorted({**NEEDED, **NEEDLESS})
    what = f"a set with some of {', '.join(known)}"
    if any(answer is untouched for untouched in UNTOUCHED):
        return Feedback("open", f"give {what}, in the place of ..., and run both cells again.")
    if isinstance(answer, str) or not isinstance(answer, Iterable) or not {*answer} <= {*known}:
        return Feedback("wrong", f"expected {what}; your answer is {answer!r}.")
    said = {str(fact) for fact in answer}
    if needless := sorted(said & set(NEEDLESS)):
        return Feedback("wrong", f"the {needless[0]} does not belong into the key: {NEEDLESS[needless[0]]}.")
    if missing := [fact for fact in NEEDED if fact not in said]:
        return Feedback("wrong", f"something is missing: {NEEDED[missing[0]]}.")
    return Feedback("right", "a change of any of these gives another key, and nothing else does.")


def check_half_step(function: Callable[[float], float]) -> Feedback:
    """Check the distance from a number to the next larger float16: called with numbers above 2⁻¹⁴."""
    return check_function(
        function,
        [(x,) for x in HALF_CASES],
        lambda value, x: math.isclose(value, _half_step(x), rel_tol=1e-6),
        expected=_half_step,
        what="your step",
        why="the step grows with the number: float16 is exact to three digits, whatever their size.",
        mistakes={
            "This is half a step, the largest rounding error.": lambda x: _half_step(x) / 2,
            "This is the step between 1 and 2; from each power of two to the next it doubles.": (
                lambda x: 2.0**-10
            ),
            "The step is the same from one power of two to the next: round the exponent down.": (
                lambda x: x * 2.0**-10
            ),
            "float32 has 23 bits behind the leading one, float16 has 10.": lambda x: float(
                np.spacing(np.float32(x))
            ),
        },
    )


def _half_step(x: float) -> float:
    return float(np.spacing(np.float16(2.0 ** math.floor(math.log2(x)))))


def check_worst_difference(function: Callable[[list[float], list[float]], float]) -> Feedback:
    """Check the worst difference of two outputs: called with the reference's and the candidate's."""
    return check_function(
        function,
        PARITY_CASES,
        lambda value, *pair: math.isclose(value, _worst(*pair)),
        expected=_worst,
        what="your worst difference",
        why="a mean hides the one score that is wrong, and that score may be the answer.",
        mistakes={
            "This is the mean; one large difference among many small ones vanishes in it.": (
                lambda reference, candidate: float(np.mean(np.abs(np.subtract(reference, candidate))))
            ),
            "Differences in both directions count: take the absolute value of each first.": (
                lambda reference, candidate: float(np.max(np.subtract(candidate, reference)))
            ),
            "Subtract the other way round as well: take the absolute value of each first.": (
                lambda reference, candidate: float(np.max(np.subtract(reference, candidate)))
            ),
            "Compare score by score, and not the largest score of each.": lambda reference, candidate: abs(
                max(reference) - max(candidate)
            ),
        },
    )


def _worst(reference: Sequence[float], candidate: Sequence[float]) -> float:
    return float(np.max(np.abs(np.subtract(reference, candidate))))


def check_break_even(function: Callable[[float, float, float], float]) -> Feedback:
    """Check after how many runs a build has paid: called with seconds to build, ms before, ms after."""
    return check_function(
        function,
        LAUNCH_CASES,
        lambda value, *case: value == _break_even(*case),
        expected=_break_even,
        what="your number of runs",
        why="an app that is opened once a month for three pictures should not compile at all.",
        mistakes={
            "Mind the units: the build is in seconds, a run in milliseconds.": lambda build, slow, fast: (
                math.ceil(build / (slow - fast))
            ),
            "Each run saves the difference of the two, not the whole of one.": lambda build, slow, fast: (
                math.ceil(1000 * build / slow)
            ),
            "Count what a run saves, not what it still takes.": lambda build, slow, fast: math.ceil(
                1000 * build / fast
            ),
            "Runs are whole: round up.": lambda build, slow, fast: 1000 * build / (slow - fast),
            "After this many it has not quite paid yet: round up.": lambda build, slow, fast: math.floor(
                1000 * build / (slow - fast)
            ),
        },
    )


def _break_even(build_s: float, slow_ms: float, fast_ms: float) -> int:
    return math.ceil(1000 * build_s / (slow_ms - fast_ms))


def file_rows() -> list[Row]:
    """Return the made-up files, column heading → text."""
    return [
        {
            "file": name,
            "runs on": ", ".join(file.runs_on),
            "kB": str(file.size_kb),
            "worst difference": f"{file.worst_difference:g}",
            "latency": f"{file.ratio:g}",
        }
        for name, file in FILES.items()
    ]


def device_rows() -> list[Row]:
    """Return the made-up devices, column heading → text."""
    return [
        {
            "device": name,
            "runs": device.runs,
            "file at most": f"{device.most_kb:g} kB" if math.isfinite(device.most_kb) else "any size",
            "worst difference at most": f"{device.most_difference:g}",
        }
        for name, device in DEVICES.items()
    ]


def check_files(answer: object) -> Feedback:
    """Check device → file: each has to run there, keep the limits, and be the fastest of those that do."""
    what = f"a dictionary with a file for {', '.join(DEVICES)}"
    untouched = any(answer is each for each in UNTOUCHED)
    if untouched or (isinstance(answer, Mapping) and any(value in UNTOUCHED for value in answer.values())):
        return Feedback("open", f"give {what}, and run both cells again.")
    if not isinstance(answer, Mapping) or set(answer) != set(DEVICES) or not {*answer.values()} <= {*FILES}:
        return Feedback("wrong", f"expected {what}, each with a name from the table; you gave {answer!r}.")
    for name, device in DEVICES.items():
        chosen = str(answer[name])
        if why := _why_not(FILES[chosen], device):
            return Feedback("wrong", f"{chosen} is nothing for the {name}: {why}.")
        best = min(
            (file for file in FILES if not _why_not(FILES[file], device)), key=lambda f: FILES[f].ratio
        )
        if FILES[best].ratio < FILES[chosen].ratio:
            return Feedback(
                "wrong", f"{chosen} works on the {name}, and there is a faster file that does too."
            )
    return Feedback("right", "each file runs on its device, keeps both limits, and is the fastest that does.")


def _why_not(file: BuiltFile, device: Device) -> str | None:
    if device.runs not in file.runs_on:
        return f"it runs on {' and '.join(file.runs_on)}, and the device is {device.runs}"
    if file.size_kb > device.most_kb:
        return f"it has {file.size_kb} kB, and {device.most_kb:g} kB are allowed"
    if file.worst_difference > device.most_difference:
        return f"it is off by {file.worst_difference:g}, and {device.most_difference:g} is allowed"
    return None
