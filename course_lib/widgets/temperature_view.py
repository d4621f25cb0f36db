"""The temperature explorer's page as plain values: the strip of images, and results in words.

The strip is sent once a teacher; only results come with every change.
"""

from typing import Any

from course_lib.benchmarking.number_text import significant
from course_lib.data import Dataset
from course_lib.explore.image_choice import ChosenImages
from course_lib.explore.temperature import SoftAnswer, TemperatureResult
from course_lib.explore.temperature_text import explain, percent, warn
from course_lib.widgets.pictures import picture_url

THUMBNAIL = 64
KINDS = {
    "sure": "the teacher is sure and right",
    "torn": "the teacher is torn",
    "wrong": "sure and wrong",
}


def strip_view(teacher: str, chosen: ChosenImages, dataset: Dataset) -> dict[str, Any]:
    """Return the images to pick from, by kind, with a small picture and a name each."""
    groups = []
    for kind, words in KINDS.items():
        images = [
            {
                "index": index,
                "url": picture_url(dataset.images[index], THUMBNAIL),
                "name": f"{_true_class(dataset, index)}: {words}",
            }
            for index in getattr(chosen, kind)
        ]
        if images:
            groups.append({"kind": kind, "words": words, "images": images})
    return {"teacher": teacher, "groups": groups}


def result_view(result: TemperatureResult, dataset: Dataset, code: str) -> dict[str, Any]:
    """Return one result as plain values: tiles of text, the table, the chart, sentences, and code.

    ``code`` is Python that computes the result again.
    """
    image, teacher, student = result.setting.image, result.teacher, result.student
    return {
        "label": _label(result),
        "exact": True,
        "image": image,
        "temperature": result.setting.temperature,
        "picture": {
            "url": picture_url(dataset.images[image]),
            "name": f"Image {image:,}: {result.class_names[result.label]}",
        },
        "answers": {"teacher": _answer(teacher), "student": _answer(student)},
        "rows": [
            {
                "name": name,
                "true": label == result.label,
                "teacher": _cell(teacher, label),
                "student": _cell(student, label),
            }
            for label, name in enumerate(result.class_names)
        ],
        "tiles": _tiles(result),
        "curves": {
            kind: {
                "points": [list(point) for point in answer.curve],
                "here": answer.mean_entropy_bits,
                "text": f"{kind}: {answer.mean_entropy_bits:.2f} bits",
            }
            for kind, answer in (("teacher", teacher), ("student", student))
        },
        "most_bits": result.most_bits,
        "most_text": f"an even spread: {result.most_bits:.2f} bits",
        "curve_summary": (
            f"Mean entropy at T = {result.setting.temperature:g}: teacher {teacher.mean_entropy_bits:.2f}, "
            f"student {student.mean_entropy_bits:.2f}, of at most {result.most_bits:.2f} bits"
        ),
        "explanation": explain(result),
        "warning": warn(result),
        "code": code,
    }


def study_code(teacher: str, student: str, data: str, result: TemperatureResult) -> str:
    """Return Python that computes a result again; the first three arguments are Python for what they name."""
    loading = "from course_lib.data import load_dataset\n" if "load_dataset" in data else ""
    bound = "" if data == "dataset" else f"dataset = {data}\n"
    return (
        f"{loading}from course_lib.explore import TemperatureSetting, score_model, study_temperature\n\n"
        f"{bound}teacher, student = score_model({teacher}, dataset), score_model({student}, dataset)\n"
        f"setting = TemperatureSetting(temperature={result.setting.temperature:g}, "
        f"image={result.setting.image})\n"
        "result = study_temperature(teacher, student, setting)\n"
    )


def _label(result: TemperatureResult) -> str:
    setting = result.setting
    true = result.class_names[result.label]
    return f"T = {setting.temperature:g}, image {setting.image:,}: {true}"


def _true_class(dataset: Dataset, index: int) -> str:
    return dataset.class_names[int(dataset.labels[index])]


def _answer(answer: SoftAnswer) -> dict[str, str]:
    return {
        "name": answer.name,
        "detail": f"{answer.accuracy:.2%} right; here {answer.entropy_bits:.2f} bits",
    }


def _cell(answer: SoftAnswer, label: int) -> dict[str, Any]:
    return {"share": answer.targets[label], "text": percent(answer.targets[label])}


def _tiles(result: TemperatureResult) -> dict[str, dict[str, str]]:
    teacher, student, temperature = result.teacher, result.student, result.setting.temperature
    over = f"mean over {result.images:,} images"
    squared = f"T² = {temperature**2:.4g}"
    return {
        "entropy": {
            "value": f"{teacher.mean_entropy_bits:.2f} bits",
            "detail": f"for the teacher, {student.mean_entropy_bits:.2f} for the student; {over}",
        },
        "true": {
            "value": f"{teacher.mean_true:.1%}",
            "detail": f"for the teacher, {student.mean_true:.1%} for the student; {over}",
        },
        "loss": {
            "value": f"{significant(result.soft_loss)} nats",
            "detail": f"KL {significant(result.divergence_nats)} times {squared}; {over}",
        },
        "agree": {
            "value": f"{result.agreement:.2%}",
            "detail": f"of {result.images:,} images, at every T: it never changes which class is first",
        },
    }
