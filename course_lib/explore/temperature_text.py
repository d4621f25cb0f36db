"""What a temperature does, in one sentence on the shown image and, where it is extreme, one on all images.

The sentences quote the result's own figures. Extremes are told by the teacher's mean entropy as a share of
the largest possible one, log₂ C, since what is a high temperature depends on the size of the scores. A slider
is there to be tried, so they are told earlier than the trainer warns of them (`distillation.guards`).
"""

from course_lib.explore.temperature import TemperatureResult

NEARLY_ONE = 0.95
"""From this probability on, an answer says little more than a label."""

LOW_SHARE, HIGH_SHARE = 0.1, 0.95
"""Share of the largest entropy below which soft targets are nearly labels, and above which nearly even."""


def percent(probability: float) -> str:
    """Write a probability with one decimal; where that would say 0 or 100 %, with a sign."""
    if 0.9995 <= probability < 1:
        return "> 99.9%"
    if 0 < probability < 0.0005:
        return "< 0.1%"
    return f"{probability:.1%}"


def explain(result: TemperatureResult) -> str:
    """Return what the current temperature makes of the teacher's answer to the shown image."""
    names, teacher = result.class_names, result.teacher
    first, second, last = teacher.order[0], teacher.order[1 % len(names)], teacher.order[-1]
    head = f"At T = {result.setting.temperature:g} the teacher puts {_on(result, first)}"
    if teacher.entropy_bits > HIGH_SHARE * result.most_bits:
        return f"{head} and still {_on(result, last)}, its least likely class: an almost even spread."
    if first != result.label:
        true = f"{names[result.label]} ({percent(teacher.targets[result.label])})"
        return (
            f"{head}, but the label says {true}: the student is taught this mistake, and only the hard label "
            "speaks against it."
        )
    if teacher.targets[first] >= NEARLY_ONE:
        return f"{head}: the student learns little more than the label."
    return f"{head} and {_on(result, second)}: the student also learns which classes look alike."


def warn(result: TemperatureResult) -> str:
    """Return why the temperature is an extreme one for this teacher, or nothing where it is not."""
    temperature, bits = result.setting.temperature, result.teacher.mean_entropy_bits
    held = f"{bits:.2f} of at most {result.most_bits:.2f} bits over all images"
    if temperature < 1:
        return (
            f"T below 1 sharpens the teacher's answers instead of softening them ({held}); distillation uses "
            "T above 1, mostly 3 to 10."
        )
    if bits < LOW_SHARE * result.most_bits:
        return f"T is low for this teacher: its soft targets are nearly labels ({held}); mostly T is 3 to 10."
    if bits > HIGH_SHARE * result.most_bits:
        return (
            f"T is high for this teacher: its soft targets are nearly even ({held}), and the student has to "
            "match meaningless low scores too."
        )
    return ""


def _on(result: TemperatureResult, label: int) -> str:
    return f"{percent(result.teacher.targets[label])} on {result.class_names[label]}"
