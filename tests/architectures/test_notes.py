import pytest

from course_lib.architectures import list_models, list_zoo
from course_lib.architectures.notes import NOTES, network_note


def test_the_worked_example() -> None:
    assert network_note("mobilenet_v2").paper == "Sandler et al., 2018"
    own = network_note("mine")
    assert (own.title, own.paper, own.idea) == ("mine", "", "")


def test_every_network_for_small_pictures_has_a_note() -> None:
    assert set(NOTES) == set(list_models((1, 28, 28)))
    assert set(list_zoo()) <= set(NOTES)


@pytest.mark.parametrize("name", NOTES)
def test_an_idea_is_one_sentence_and_a_paper_has_a_year(name: str) -> None:
    note = NOTES[name]
    assert note.idea.endswith(".")
    assert note.idea.count(". ") == 0
    assert any(str(year) in note.paper for year in range(1990, 2027))
