import dataclasses
import json
from pathlib import Path

import pytest

from course_lib.architectures import ModelCard, cards, list_zoo, load_card
from course_lib.architectures.cards import save_card
from course_lib.errors import CheckpointError, UnknownNameError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the zoo an empty folder."""
    monkeypatch.setattr(cards, "CHECKPOINTS", tmp_path)
    return tmp_path


def test_a_card_shows_itself_as_a_table(tiny_card: ModelCard) -> None:
    assert tiny_card._repr_markdown_() == (
        "| **tiny** | |\n"
        "|---|---|\n"
        "| parameters | 9,000 |\n"
        "| MACs for one image | 1,200,000 |\n"
        "| test accuracy | 89.53% (8,953 of 10,000; 95 % interval 88.91% to 90.12%) |\n"
        "| validation accuracy | 90.00% |\n"
        "| trained with | `python -m course_lib.pipelines.zoo --only tiny`, seed 1 |\n"
        "| versions | device CPU, torch 2.13.0 |\n"
        f"| checkpoint | 40,000 bytes, SHA-256 {'ab' * 32} |\n"
    )


def test_cards_come_back_and_are_listed(folder: Path, tiny_card: ModelCard) -> None:
    assert list_zoo() == []
    other = dataclasses.replace(tiny_card, name="big", correct=1, versions={"größe": "…"})
    for card in (tiny_card, other):
        save_card(card, folder)
    assert list_zoo() == ["big", "tiny"]
    assert [load_card(name) for name in list_zoo()] == [other, tiny_card]
    assert json.loads((folder / "tiny.json").read_text()) == dataclasses.asdict(tiny_card)
    assert tiny_card.checkpoint == folder / "tiny.safetensors"


def test_an_unknown_card_lists_the_known_ones(folder: Path, tiny_card: ModelCard) -> None:
    with pytest.raises(UnknownNameError, match=r"called 'tiny'; the known ones are none yet\.$"):
        load_card("tiny")
    save_card(tiny_card, folder)
    with pytest.raises(
        UnknownNameError,
        match=r"^There is no trained model called 'tinny'; the known ones are tiny\. Did you mean 'tiny'\?$",
    ):
        load_card("tinny")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"name": "tiny"}', '{"nome": "tiny"}'])
def test_a_damaged_card_is_refused(folder: Path, text: str) -> None:
    (folder / "tiny.json").write_text(text)
    with pytest.raises(CheckpointError) as caught:
        load_card("tiny")
    assert str(caught.value) == (
        "The card tiny.json is damaged; restore it with: git checkout -- course_lib/architectures/checkpoints"
    )
