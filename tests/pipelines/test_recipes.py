from dataclasses import asdict

import pytest

from course_lib.architectures import list_models, list_zoo, load_card
from course_lib.pipelines.recipes import FAMILY, RECIPES


def test_every_small_network_has_one_recipe() -> None:
    assert sorted(RECIPES) == list_models((1, 28, 28))


@pytest.mark.parametrize("name", list_zoo())
def test_the_shipped_network_was_trained_by_its_recipe(name: str) -> None:
    card = load_card(name)
    assert card.config == asdict(RECIPES[name])
    assert card.seed == RECIPES[name].seed


def test_the_families_share_one_budget() -> None:
    shared = {name for name, recipe in RECIPES.items() if recipe is FAMILY}
    assert shared == {
        "efficientnet",
        "ghostnet",
        "micronet",
        "mobilenet_v2",
        "mobilenet_v3",
        "shufflenet_v1",
        "shufflenet_v2",
        "squeezenet",
    }
    assert FAMILY.optimizer == RECIPES["depthwise"].optimizer
