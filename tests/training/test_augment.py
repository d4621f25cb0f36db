import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.errors import SettingError
from course_lib.reproducibility import torch_generator
from course_lib.training import Augmentation, augment

NOTHING = Augmentation(flip=False, max_shift=0, erase=0.0)
SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 6), st.integers(1, 6))
AUGMENTATIONS = st.builds(Augmentation, st.booleans(), st.integers(0, 3), st.floats(0, 1))


def results(
    picture: list[list[float]], config: Augmentation, count: int = 400
) -> dict[tuple[float, ...], int]:
    """Return how often each outcome appears among many copies of one picture."""
    copies = torch.tensor(picture).repeat(count, 1, 1, 1)
    rows = augment(copies, config, torch_generator(0)).flatten(1).tolist()
    return {tuple(row): rows.count(row) for row in rows}


def test_a_flip_by_hand() -> None:
    counts = results([[1, 2, 3], [4, 5, 6]], Augmentation(flip=True, max_shift=0))
    assert counts.keys() == {(1, 2, 3, 4, 5, 6), (3, 2, 1, 6, 5, 4)}
    # One half, give or take five standard deviations.
    assert abs(counts[1, 2, 3, 4, 5, 6] - 200) < 50


def test_shifts_by_hand() -> None:
    counts = results([[1, 2, 3]], Augmentation(flip=False, max_shift=1))
    # The edge is repeated; up and down there is nothing but the one row.
    assert counts.keys() == {(1, 1, 2), (1, 2, 3), (2, 3, 3)}
    assert min(counts.values()) > 400 / 3 - 50
    both = results([[1, 2], [3, 4]], Augmentation(flip=False, max_shift=1))
    assert len(both) == 9
    assert {(1, 1, 1, 1), (1, 2, 1, 2), (4, 4, 4, 4), (1, 2, 3, 4)} <= both.keys()


def test_erased_squares_by_hand() -> None:
    copies = torch.ones(300, 1, 8, 8)
    erased = augment(copies, Augmentation(flip=False, max_shift=0, erase=1.0), torch_generator(0)) == 0
    sides = erased[:, 0].any(2).sum(1), erased[:, 0].any(1).sum(1)
    for side in sides:
        # A quarter to a half of 8 pixels.
        assert set(side.tolist()) == {2, 3, 4}
    # Sides alike but for rounding, and nothing inside left out.
    assert (sides[0] - sides[1]).abs().max() <= 1
    assert torch.equal(erased.flatten(1).sum(1), sides[0] * sides[1])


def test_the_probability_of_erasing() -> None:
    copies = torch.ones(1000, 1, 4, 4)
    changed = (
        augment(copies, Augmentation(False, 0, erase=0.3), torch_generator(0)).flatten(1).min(1).values == 0
    )
    assert changed.sum().item() == pytest.approx(300, abs=75)


@settings(max_examples=50)
@given(SHAPES, AUGMENTATIONS, st.integers(0, 99))
def test_values_come_from_the_picture_itself(
    shape: tuple[int, int, int, int], config: Augmentation, seed: int
) -> None:
    images = torch.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    before = images.clone()
    changed = augment(images, config, torch_generator(seed))
    assert changed.shape == images.shape
    assert changed.dtype == images.dtype
    assert torch.equal(images, before)
    for picture, result in zip(images, changed, strict=True):
        for channel, values in zip(picture, result, strict=True):
            assert set(values.flatten().tolist()) <= {0.0, *channel.flatten().tolist()}
    if not config.erase:
        assert changed.all()
    assert torch.equal(augment(images, config, torch_generator(seed)), changed)


@given(SHAPES)
def test_without_any_change_the_pictures_stay_and_nothing_is_drawn(shape: tuple[int, int, int, int]) -> None:
    generator = torch_generator(3)
    images = torch.randn(shape)
    assert torch.equal(augment(images, NOTHING, generator), images)
    assert torch.equal(generator.get_state(), torch_generator(3).get_state())


def test_another_generator_changes_other_things() -> None:
    images = torch.randn(8, 1, 6, 6)
    first, second = (augment(images, Augmentation(), torch_generator(seed)) for seed in (0, 1))
    assert not torch.equal(first, second)


def slowly(images: np.ndarray, config: Augmentation, generator: torch.Generator) -> np.ndarray:
    """Do what `augment` does, a picture at a time with NumPy, from the same random numbers."""
    count, _, height, width = images.shape
    mirrored = torch.rand(count, generator=generator) < 0.5
    corners = torch.randint(0, 2 * config.max_shift + 1, (2, count), generator=generator)
    chosen, side, top, left = (torch.rand(count, generator=generator).numpy() for _ in range(4))
    side = np.float32(0.25) + np.float32(0.25) * side
    result = []
    for n, picture in enumerate(images):
        turned = picture[:, :, ::-1] if mirrored[n] else picture
        border = (config.max_shift, config.max_shift)
        padded = np.pad(turned, ((0, 0), border, border), mode="edge")
        y, x = corners[:, n].tolist()
        moved = padded[:, y : y + height, x : x + width].copy()
        if chosen[n] < config.erase:
            start_y, start_x = top[n] * (1 - side[n]), left[n] * (1 - side[n])
            rows = [i for i in range(height) if start_y <= (i + 0.5) / height < start_y + side[n]]
            columns = [i for i in range(width) if start_x <= (i + 0.5) / width < start_x + side[n]]
            moved[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = 0
        result.append(moved)
    return np.stack(result)


@pytest.mark.parametrize("seed", range(3))
def test_it_agrees_with_numpy_picture_by_picture(seed: int) -> None:
    images = torch.randn(64, 2, 9, 12)
    config = Augmentation(flip=True, max_shift=3, erase=0.6)
    ours = augment(images, config, torch_generator(seed))
    np.testing.assert_array_equal(ours, slowly(images.numpy(), config, torch_generator(seed)))


@pytest.mark.parametrize(("shift", "erase"), [(-1, 0.0), (2, -0.1), (2, 1.1), (2, float("nan"))])
def test_settings_outside_their_range_are_refused(shift: int, erase: float) -> None:
    with pytest.raises(SettingError) as caught:
        Augmentation(max_shift=shift, erase=erase)
    assert str(caught.value) == (
        f"max_shift is {shift} and erase {erase}; expected max_shift of at least 0 and erase in [0, 1]."
    )
