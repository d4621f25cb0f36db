import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_lib.distillation.views import CHUNK, Views
from course_lib.errors import SettingError
from course_lib.reproducibility import torch_generator
from course_lib.training import Augmentation, Examples, augment

AUGMENTATION = Augmentation(erase=0.5)


def test_epochs_take_turns_by_hand(train: Examples) -> None:
    views = Views(train.inputs, AUGMENTATION, count=3, seed=0)
    assert [views.of_epoch(epoch) for epoch in range(7)] == [0, 1, 2, 0, 1, 2, 0]


def test_a_view_is_augmentation_chunk_by_chunk_from_one_generator() -> None:
    inputs = np.random.default_rng(0).normal(size=(CHUNK + 20, 1, 4, 4)).astype(np.float32)
    generator = torch_generator(int(np.random.SeedSequence((5, 1)).generate_state(1)[0]))
    parts = [torch.from_numpy(part) for part in (inputs[:CHUNK], inputs[CHUNK:])]
    expected = torch.cat([augment(part, AUGMENTATION, generator) for part in parts])
    assert torch.equal(Views(inputs, AUGMENTATION, 2, 5).pictures(1), expected)


@given(st.integers(0, 2**32), st.lists(st.integers(0, 3), min_size=1, max_size=6))
def test_a_view_is_the_same_whenever_it_is_made(seed: int, order: list[int]) -> None:
    inputs = np.random.default_rng(0).normal(size=(6, 1, 4, 4)).astype(np.float32)
    views = Views(inputs, AUGMENTATION, 4, seed)
    for view in order:
        assert torch.equal(views.pictures(view), Views(inputs, AUGMENTATION, 4, seed).pictures(view))


def test_views_and_seeds_differ(train: Examples) -> None:
    pictures = [
        Views(train.inputs, AUGMENTATION, 2, seed).pictures(view) for seed in (0, 1) for view in (0, 1)
    ]
    assert not any(torch.equal(pictures[a], pictures[b]) for a in range(4) for b in range(a))


def test_the_source_names_all_that_decides_a_view(train: Examples) -> None:
    def source(inputs: object = train.inputs, augmentation: object = AUGMENTATION, seed: int = 0) -> object:
        return Views(inputs, augmentation, 2, seed).source(0)

    changed = train.inputs.copy()
    changed[-1, 0, 7, 7] += 1e-3
    assert source() == source(train.inputs.copy())
    others = [source(changed), source(augmentation=Augmentation()), source(seed=1)]
    assert source() not in others
    # How many views there are decides none of them.
    assert Views(train.inputs, AUGMENTATION, 9, 0).source(0) == source()


@pytest.mark.parametrize(("count", "seed"), [(0, 0), (1, -1)])
def test_impossible_views_are_refused(train: Examples, count: int, seed: int) -> None:
    with pytest.raises(SettingError) as caught:
        Views(train.inputs, AUGMENTATION, count, seed)
    assert str(caught.value) == (
        f"There cannot be {count} views from seed {seed}; take at least 1 view and a seed of at least 0."
    )
