"""What holds for every network of the registry, and what the shipped ones must reach."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from course_lib.architectures import (
    ModelCard,
    cards,
    create_model,
    input_shape,
    list_models,
    list_zoo,
    load_card,
    load_pretrained,
)
from course_lib.architectures.cards import CHECKPOINTS, save_card
from course_lib.architectures.checkpoints import save_checkpoint
from course_lib.benchmarking.intervals import proportion_interval
from course_lib.benchmarking.macs import profile_layers
from course_lib.data import load_dataset
from course_lib.errors import CheckpointError, UnknownNameError
from course_lib.pipelines.recipes import FAMILY, RECIPES
from course_lib.reproducibility import seeded_torch, sha256_of
from course_lib.training import predict

REQUIRED_ACCURACY = {
    "residual": 0.94,
    "depthwise": 0.915,
    "plain_conv": 0.91,
    "tiny": 0.89,
    "vision_transformer": 0.88,
}
MOST_PARAMS = {"depthwise": 40_000, "tiny": 10_000, "compact": 17_000}
MOST_MACS = {"depthwise": 2_000_000, "compact": 6_000_000}


SMALL = (1, 28, 28)


def pictures(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 1, 28, 28, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", list_models(SMALL))
@pytest.mark.parametrize("num_classes", [1, 10])
def test_every_model_gives_one_score_a_class(name: str, num_classes: int) -> None:
    model = create_model(name, num_classes)
    assert model(pictures(3)).shape == (3, num_classes)
    assert model.eval()(pictures(1)).shape == (1, num_classes)


@pytest.mark.parametrize("name", list_models(SMALL))
def test_the_seed_decides_the_first_weights(name: str) -> None:
    states = []
    for seed in (1, 1, 2):
        with seeded_torch(seed):
            states.append(torch.cat([value.flatten() for value in create_model(name).parameters()]))
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


@pytest.mark.parametrize("name", list_models(SMALL))
def test_a_picture_has_its_scores_to_itself(name: str) -> None:
    model = create_model(name).eval()
    with torch.no_grad():
        together = model(pictures(4))
        alone = torch.cat([model(picture[None]) for picture in pictures(4)])
        swapped = model(pictures(4).flip(0)).flip(0)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together, swapped, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", list_models(SMALL))
def test_every_weight_takes_part(name: str) -> None:
    model = create_model(name)
    model(pictures(8)).square().sum().backward()
    idle = [key for key, value in model.named_parameters() if value.grad is None or not value.grad.any()]
    assert idle == []


@pytest.mark.parametrize("name", list_models(SMALL))
def test_budgets_of_parameters_and_macs(name: str) -> None:
    profile = profile_layers(create_model(name), pictures(1))
    assert profile.params <= MOST_PARAMS.get(name, 2_000_000)
    assert profile.macs <= MOST_MACS.get(name, 100_000_000)
    assert profile.params == sum(value.numel() for value in create_model(name).parameters())


@pytest.mark.parametrize("name", sorted(name for name, recipe in RECIPES.items() if recipe is FAMILY))
def test_the_families_have_a_comparable_budget(name: str) -> None:
    profile = profile_layers(create_model(name), pictures(1))
    assert 30_000 <= profile.params <= 60_000
    assert profile.macs <= 4_000_000


@pytest.mark.parametrize("name", list_models(SMALL))
@pytest.mark.parametrize(("width", "depth"), [(0.25, 1), (0.5, 2), (1.5, 0.5)])
def test_every_model_can_be_scaled(name: str, width: float, depth: float) -> None:
    model = create_model(name, 3, width, depth)
    assert model(pictures(2)).shape == (2, 3)


@pytest.mark.parametrize("name", list_models(SMALL))
def test_width_and_depth_of_one_are_the_network_itself(name: str) -> None:
    states = []
    for settings in ({}, {"width": 1.0, "depth": 1.0}):
        with seeded_torch(1):
            states.append(create_model(name, **settings).state_dict())
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


@pytest.mark.slow
@pytest.mark.parametrize("name", list_models((3, 224, 224)))
def test_every_large_model_runs_and_can_be_scaled(name: str) -> None:
    picture = torch.randn(1, *input_shape(name))
    for width, depth in ((1, 1), (0.5, 1), (0.5, 1.5)):
        model = create_model(name, 4, width, depth).eval()
        with torch.no_grad():
            assert model(picture).shape == (1, 4)


def test_each_family_comes_for_small_and_for_large_pictures() -> None:
    large = {name.removesuffix("_224") for name in list_models((3, 224, 224))}
    assert large == set(list_models(SMALL)) - {"tiny", "compact"}
    assert input_shape("mobilenet_v2") == SMALL
    assert input_shape("mobilenet_v2_224") == (3, 224, 224)


def test_importing_the_package_leaves_torch_alone() -> None:
    code = (
        "import sys, course_lib.architectures as a; a.list_zoo(); "
        "print([name for name in ('torch', 'safetensors', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_zoo_holds_the_five() -> None:
    assert set(list_zoo()) >= set(REQUIRED_ACCURACY)


def test_all_checkpoints_together_are_small() -> None:
    assert sum(path.stat().st_size for path in CHECKPOINTS.iterdir()) <= 12_000_000


@pytest.mark.parametrize("name", list_zoo())
def test_every_card_reaches_what_is_required(name: str) -> None:
    card = load_card(name)
    assert card.name == name
    assert card.total == 10_000
    assert card.accuracy >= REQUIRED_ACCURACY.get(name, 0.0)
    assert card.params <= MOST_PARAMS.get(name, card.params)
    assert card.macs <= MOST_MACS.get(name, card.macs)
    assert card.config["seed"] == card.seed
    assert f"--only {name}" in card.command


@pytest.mark.slow
@pytest.mark.parametrize("name", list_zoo())
def test_every_card_is_true_of_its_checkpoint(name: str) -> None:
    card, test = load_card(name), load_dataset("fashion-mnist", "test")
    model = load_pretrained(name)
    assert not model.training
    predicted = predict(model, test.inputs()).argmax(1)
    assert (int((predicted == test.labels).sum()), len(test)) == (card.correct, card.total)
    assert card.accuracy == card.correct / card.total
    interval = proportion_interval(card.correct, card.total)
    assert (card.accuracy_low, card.accuracy_high) == (interval.low, interval.high)
    profile = profile_layers(model, torch.from_numpy(test.inputs(slice(1))))
    assert (profile.params, profile.macs) == (card.params, card.macs)
    assert (sha256_of(card.checkpoint), card.checkpoint.stat().st_size) == (card.sha256, card.size_bytes)


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_card: ModelCard) -> ModelCard:
    """Make a zoo in a new folder that holds only an untrained tiny network; return its card."""
    monkeypatch.setattr(cards, "CHECKPOINTS", tmp_path)
    with seeded_torch(5):
        save_checkpoint(create_model("tiny"), tiny_card.checkpoint)
    card = replace(tiny_card, sha256=sha256_of(tiny_card.checkpoint))
    save_card(card, tmp_path)
    return card


def test_a_pretrained_network_has_the_saved_weights(zoo: ModelCard) -> None:
    with seeded_torch(5):
        expected = create_model("tiny").eval()
    model = load_pretrained("tiny")
    assert list_zoo() == ["tiny"]
    assert not model.training
    np.testing.assert_array_equal(model(pictures(2)).detach(), expected(pictures(2)).detach())
    other = load_pretrained("tiny")
    assert all(
        first is not second for first, second in zip(model.parameters(), other.parameters(), strict=True)
    )


def test_an_unknown_network_lists_the_known_ones(zoo: ModelCard) -> None:
    with pytest.raises(
        UnknownNameError, match=r"^There is no trained model called 'big'; the known ones are tiny\.$"
    ):
        load_pretrained("big")
    with pytest.raises(
        UnknownNameError, match=r"^There is no model called 'big'; the known ones are compact, depthwise, "
    ):
        create_model("big")


@pytest.mark.parametrize("damage", ["missing", "changed", "cut"])
def test_a_missing_or_changed_checkpoint_is_refused(zoo: ModelCard, damage: str) -> None:
    content = zoo.checkpoint.read_bytes()
    changed = {"changed": content[:-1] + bytes([content[-1] ^ 1]), "cut": content[:-1]}
    zoo.checkpoint.unlink()
    if damage in changed:
        zoo.checkpoint.write_bytes(changed[damage])
    with pytest.raises(CheckpointError) as caught:
        load_pretrained("tiny")
    assert str(caught.value) == (
        "The checkpoint tiny.safetensors is missing or differs from the SHA-256 on its card; "
        "restore it with: git checkout -- course_lib/architectures/checkpoints"
    )


def test_the_weights_of_another_network_are_refused(zoo: ModelCard) -> None:
    save_checkpoint(create_model("depthwise"), zoo.checkpoint)
    save_card(replace(zoo, sha256=sha256_of(zoo.checkpoint)), zoo.checkpoint.parent)
    with pytest.raises(CheckpointError) as caught:
        load_pretrained("tiny")
    assert str(caught.value) == (
        "The checkpoint tiny.safetensors does not fit SeparableNet; load the network that its card names."
    )
