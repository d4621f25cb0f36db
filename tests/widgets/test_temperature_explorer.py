import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

import course_lib.widgets
from course_lib.architectures import list_zoo
from course_lib.data import Dataset
from course_lib.errors import SettingError, UnknownNameError
from course_lib.explore.temperature import TEMPERATURES
from course_lib.reproducibility import seeded_torch
from course_lib.widgets import TemperatureExplorer
from course_lib.widgets.page_source import script, style

FOLDER = Path(course_lib.widgets.__file__).parent
TEACHER, STUDENT = "Sequential (your teacher)", "Sequential (your student)"


@pytest.fixture(scope="module")
def own_student() -> nn.Module:
    with seeded_torch(1):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).eval()


@pytest.fixture(scope="module")
def shared_explorer(own_model: nn.Module, own_student: nn.Module, own_data: Dataset) -> TemperatureExplorer:
    widget = TemperatureExplorer(own_model, own_student, own_data)
    assert widget.wait(120), widget.error
    return widget


@pytest.fixture
def explorer(shared_explorer: TemperatureExplorer) -> TemperatureExplorer:
    move(
        shared_explorer, **{key: value for key, value in shared_explorer.start.items() if key != "generation"}
    )
    return shared_explorer


def move(explorer: TemperatureExplorer, **change: Any) -> dict[str, Any]:
    request = explorer.request
    explorer.request = {**request, **change, "generation": request["generation"] + 1}
    assert explorer.wait(120), explorer.error
    return explorer.result


def test_it_opens_at_four_with_the_first_picture_of_the_row(explorer: TemperatureExplorer) -> None:
    shown = explorer.result
    first = explorer.strip["groups"][0]["images"][0]
    assert (shown["temperature"], shown["image"]) == (4.0, first["index"])
    assert shown["label"].startswith(f"T = 4, image {first['index']}: ")
    assert (shown["teacher"], shown["student"]) == (TEACHER, STUDENT)
    assert explorer.models == [TEACHER, STUDENT]
    assert explorer.temperatures == list(TEMPERATURES)


def test_table_tiles_chart_and_sentence_say_the_same(explorer: TemperatureExplorer) -> None:
    for temperature in (0.5, 4.0, 20.0):
        shown = move(explorer, temperature=temperature)
        for role in ("teacher", "student"):
            assert sum(row[role]["share"] for row in shown["rows"]) == pytest.approx(1)
            curve = dict(map(tuple, shown["curves"][role]["points"]))
            assert curve[temperature] == shown["curves"][role]["here"]
        bits = f"{shown['curves']['teacher']['here']:.2f}"
        assert shown["tiles"]["entropy"]["value"] == f"{bits} bits"
        assert shown["curves"]["teacher"]["text"] == f"teacher: {bits} bits"
        assert f"teacher {bits}, " in shown["curve_summary"]
        assert f"T² = {temperature**2:g};" in shown["tiles"]["loss"]["detail"]
        best = max(shown["rows"], key=lambda row: row["teacher"]["share"])
        assert (
            f"At T = {temperature:g} the teacher puts {best['teacher']['text']} on {best['name']}"
            in (shown["explanation"])
        )
        (true,) = [row["name"] for row in shown["rows"] if row["true"]]
        assert shown["picture"]["name"].endswith(f": {true}")


def test_agreement_stays_and_entropy_grows_with_the_temperature(explorer: TemperatureExplorer) -> None:
    shown = [move(explorer, temperature=temperature) for temperature in (1.0, 4.0, 20.0)]
    assert len({result["tiles"]["agree"]["value"] for result in shown}) == 1
    entropy = [result["curves"]["teacher"]["here"] for result in shown]
    assert entropy == sorted(entropy)


def test_the_extremes_are_warned_of(explorer: TemperatureExplorer) -> None:
    assert move(explorer, temperature=0.5)["warning"].startswith("T below 1 sharpens")
    assert move(explorer, temperature=20.0)["warning"].startswith("T is high for this teacher")


def test_the_row_is_chosen_by_the_teacher_and_a_picture_stays(explorer: TemperatureExplorer) -> None:
    by_teacher = explorer.strip
    assert by_teacher["teacher"] == TEACHER
    assert by_teacher["groups"][0]["kind"] == "sure"
    image = by_teacher["groups"][1]["images"][0]["index"]
    move(explorer, image=image)
    shown = move(explorer, teacher=STUDENT, student=TEACHER)
    assert explorer.strip["teacher"] == STUDENT
    assert explorer.strip["groups"] != by_teacher["groups"]
    assert shown["image"] == image


def test_surprises_are_any_images_and_the_same_ones_again(
    explorer: TemperatureExplorer, own_data: Dataset
) -> None:
    assert sorted(explorer.surprises) == list(range(len(own_data)))
    assert explorer.surprises != sorted(explorer.surprises)
    assert move(explorer, image=explorer.surprises[3])["image"] == explorer.surprises[3]


def test_after_many_moves_the_last_one_is_shown(explorer: TemperatureExplorer) -> None:
    for temperature in TEMPERATURES:
        request = explorer.request
        moved = {"temperature": temperature, "generation": request["generation"] + 1}
        explorer.request = {**request, **moved}
    assert explorer.wait(120)
    assert explorer.result["temperature"] == 20.0
    assert explorer.result["generation"] == explorer.request["generation"]


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ({"temperature": 0}, "temperature is 0, but scores are divided by it; expected 0.01 to 1,000"),
        ({"temperature": "warm"}, "cannot be read"),
        ({"image": 400}, "image is 400; expected a position in own, 0 to 399."),
        ({"teacher": "resnet50"}, "no teacher called 'resnet50'"),
        ({"student": None}, "no student called 'None'"),
    ],
)
def test_nonsense_from_the_page_is_reported(
    explorer: TemperatureExplorer, broken: dict[str, Any], sentence: str
) -> None:
    sound = explorer.request
    explorer.request = {**sound, **broken, "generation": sound["generation"] + 1}
    assert not explorer.wait(120)
    assert sentence in explorer.error
    assert move(explorer, **{**sound, "temperature": 2.0})["temperature"] == 2.0
    assert explorer.error == ""


def test_everything_that_is_sent_is_json(explorer: TemperatureExplorer) -> None:
    move(explorer, temperature=0.5)
    words = json.dumps([explorer.result, explorer.strip, explorer.start, explorer.surprises])
    assert not any(number in words for number in ("NaN", "Infinity"))  # which JSON does not have


def test_the_code_computes_what_is_shown(
    explorer: TemperatureExplorer, own_model: nn.Module, own_student: nn.Module, own_data: Dataset
) -> None:
    shown = move(explorer, temperature=2.5, image=17)
    names: dict[str, Any] = {
        "teacher_model": own_model,
        "student_model": own_student,
        "dataset": own_data,
    }
    exec(shown["code"], names)
    result = names["result"]
    assert (result.setting.temperature, result.setting.image) == (2.5, 17)
    np.testing.assert_allclose(result.teacher.targets, [row["teacher"]["share"] for row in shown["rows"]])
    np.testing.assert_allclose(result.student.targets, [row["student"]["share"] for row in shown["rows"]])


def test_a_model_with_other_classes_is_refused_on_the_page(own_model: nn.Module, own_data: Dataset) -> None:
    widget = TemperatureExplorer(own_model, nn.Sequential(nn.Flatten(), nn.Linear(64, 5)), own_data)
    assert not widget.wait(120)
    assert widget.error == (
        "Sequential (your student) gives an output of shape (5,) for an image; expected one score for each "
        "of the 3 classes of own."
    )
    widget.close()


def test_bad_arguments_are_refused_at_once(own_data: Dataset) -> None:
    with pytest.raises(UnknownNameError, match="no trained model called 'resnet50'"):
        TemperatureExplorer("resnet50")
    with pytest.raises(SettingError) as caught:
        TemperatureExplorer(temperature=50)
    assert str(caught.value) == (
        "temperature is 50; the slider goes from 0.5 to 20, and distillation mostly uses 3 to 10."
    )
    with pytest.raises(SettingError, match="image is -1; expected a position in own, 0 to 399"):
        TemperatureExplorer("tiny", "tiny", own_data, image=-1)


def test_the_page_gets_the_shared_part_first() -> None:
    for joined, kind in ((script("temperature_explorer"), "js"), (style("temperature_explorer"), "css")):
        assert joined.startswith((FOLDER / f"page.{kind}").read_text(encoding="utf-8"))
        assert joined.endswith((FOLDER / f"temperature_explorer.{kind}").read_text(encoding="utf-8"))
    assert TemperatureExplorer._esm == script("temperature_explorer")
    lines = script("temperature_explorer").splitlines()
    assert [line for line in lines if line.startswith("export")] == ["export default { render };"]
    defined = [line.split("(")[0] for line in lines if line.startswith(("function ", "async function "))]
    assert len(defined) == len(set(defined))


@pytest.mark.slow
def test_networks_of_the_zoo_and_an_own_one_over_the_shipped_images() -> None:
    with seeded_torch(2):
        mine = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    widget = TemperatureExplorer("tiny", mine)
    assert widget.models == ["tiny", STUDENT, *(name for name in list_zoo() if name != "tiny")]
    assert widget.wait(240), widget.error
    names: dict[str, Any] = {"student_model": mine}
    exec(widget.result["code"], names)
    assert f"{names['result'].agreement:.2%}" == widget.result["tiles"]["agree"]["value"]
    shown = move(widget, student="tiny")
    assert shown["tiles"]["agree"]["value"] == "100.00%"
    assert shown["tiles"]["loss"]["value"] == "0 nats"
    widget.close()
