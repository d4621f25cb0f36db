from dataclasses import FrozenInstanceError, asdict

import pytest

from course_lib.errors import SettingError, UnknownNameError
from course_lib.training import Augmentation, TrainingConfig

NAN = float("nan")


def test_every_setting_is_a_plain_value_in_the_record() -> None:
    config = TrainingConfig(epochs=3, optimizer="adamw", augmentation=Augmentation(erase=0.5), seed=9)
    assert asdict(config) == {
        "epochs": 3,
        "batch_size": 128,
        "optimizer": "adamw",
        "learning_rate": 0.1,
        "weight_decay": 5e-4,
        "warmup_epochs": 1.0,
        "averaging": 0.0,
        "augmentation": {"flip": True, "max_shift": 2, "erase": 0.5},
        "seed": 9,
    }
    with pytest.raises(FrozenInstanceError):
        config.epochs = 4  # type: ignore[misc]
    with pytest.raises(TypeError, match="unexpected keyword argument 'epoch'"):
        TrainingConfig(epoch=3)  # type: ignore[call-arg]


def test_the_ends_of_the_ranges_are_allowed() -> None:
    lowest = TrainingConfig(epochs=1, batch_size=1, weight_decay=0, warmup_epochs=0, averaging=0)
    assert (lowest.epochs, lowest.batch_size, lowest.warmup_epochs, lowest.averaging) == (1, 1, 0, 0)
    highest = TrainingConfig(warmup_epochs=50, averaging=0.9999, learning_rate=1e-9)
    assert (highest.warmup_epochs, highest.averaging, highest.learning_rate) == (50, 0.9999, 1e-9)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"epochs": 0},
            r"^A run of 0 epochs with batches of 128 trains nothing; both must be at least 1\.$",
        ),
        ({"batch_size": 0}, "batches of 0 trains nothing"),
        (
            {"learning_rate": 0},
            r"^learning_rate is 0 and averaging 0\.0; expected learning_rate above 0 and averaging in "
            r"\[0, 1\)\.$",
        ),
        ({"learning_rate": NAN}, "learning_rate is nan"),
        ({"averaging": 1.0}, r"averaging 1\.0; expected .* averaging in \[0, 1\)"),
        ({"averaging": -0.1}, r"averaging -0\.1"),
        ({"averaging": NAN}, "averaging nan"),
        (
            {"weight_decay": -1},
            r"^weight_decay is -1 and warmup_epochs 1\.0; neither may be below 0\.$",
        ),
        ({"warmup_epochs": -0.5}, r"warmup_epochs -0\.5; neither may be below 0"),
        ({"warmup_epochs": NAN}, "warmup_epochs nan"),
    ],
)
def test_settings_outside_their_range_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        TrainingConfig(**settings)  # type: ignore[arg-type]


def test_an_unknown_optimizer_lists_the_known_ones() -> None:
    with pytest.raises(
        UnknownNameError,
        match=r"^There is no optimizer called 'adam'; the known ones are adamw, sgd\. Did you mean 'adamw'",
    ):
        TrainingConfig(optimizer="adam")  # type: ignore[arg-type]
