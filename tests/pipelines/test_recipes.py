from dataclasses import asdict

import pytest

from course_lib.architectures import list_models, list_zoo, load_card
from course_lib.pipelines.recipes import RECIPES


def test_every_network_has_one_recipe() -> None:
    assert sorted(RECIPES) == list_models()


@pytest.mark.parametrize("name", list_zoo())
def test_the_shipped_network_was_trained_by_its_recipe(name: str) -> None:
    card = load_card(name)
    assert card.config == asdict(RECIPES[name])
    assert card.seed == RECIPES[name].seed
