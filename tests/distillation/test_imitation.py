"""Imitation of a network's scores and maps."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.architectures import create_model
from course_lib.distillation.imitation import Imitation
from course_lib.errors import CheckpointError, ModelError, SettingError, UnknownNameError
from course_lib.training import Augmentation, EpochRecord, Examples, TrainingConfig, fit
from course_lib.training.objective import Batch


def batch_of(pictures: Tensor) -> Batch:
    count = len(pictures)
    return Batch(0, torch.arange(count), torch.zeros(count, dtype=torch.int64), pictures)


class Scaled(nn.Module):
    """Maps of a picture of two pixels, one weight for each, and scores that are always equal."""

    def __init__(self, first: float, second: float) -> None:
        super().__init__()
        self.maps = nn.Conv2d(2, 2, 1, groups=2, bias=False)
        self.maps.weight.data = torch.tensor([first, second], dtype=torch.float32).reshape(2, 1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.maps(x).sum((1, 2, 3))[:, None] * torch.zeros(1, 3)


def test_the_worked_example() -> None:
    imitation = Imitation(Scaled(3, 4), ["maps"], weight=5)
    loss, parts = imitation.losses(Scaled(3, 3), batch_of(torch.ones(1, 2, 1, 1)))
    assert loss.item() == pytest.approx(0.2)
    assert {name: part.item() for name, part in parts.items()} == pytest.approx({"scores": 0, "maps": 0.04})


@given(
    teacher=st.tuples(st.floats(0.5, 4), st.floats(0.5, 4)),
    student=st.tuples(st.floats(-4, 4), st.floats(-4, 4)),
    weight=st.floats(0, 100),
)
def test_only_equal_maps_have_no_distance(
    teacher: tuple[float, float], student: tuple[float, float], weight: float
) -> None:
    imitation, batch = Imitation(Scaled(*teacher), ["maps"], weight=weight), batch_of(torch.ones(2, 2, 3, 3))
    assert imitation.losses(Scaled(*teacher), batch)[0].item() == 0
    loss = imitation.losses(Scaled(*student), batch)[0].item()
    squares = sum((t - s) ** 2 for t, s in zip(teacher, student, strict=True))
    assert loss == pytest.approx(weight * squares / sum(t**2 for t in teacher), rel=1e-4, abs=1e-6)


def test_torch_computes_the_same() -> None:
    torch.manual_seed(0)
    teacher, student = create_model("tiny").eval(), create_model("tiny").eval()
    pictures = torch.randn(8, 1, 28, 28)
    loss, _ = Imitation(teacher, ["stem"], temperature=2, weight=3).losses(student, batch_of(pictures))
    wanted, found = (model(pictures).div(2).softmax(1) for model in (teacher, student))
    scores = 4 * F.kl_div(found.log(), wanted, reduction="batchmean")
    t, s = teacher.stem(pictures), student.stem(pictures)
    torch.testing.assert_close(loss, scores + 3 * (t - s).norm() ** 2 / t.norm() ** 2)


def test_training_comes_nearer_to_the_teacher() -> None:
    torch.manual_seed(0)
    teacher, student = create_model("tiny"), create_model("tiny")
    images = Examples(torch.randn(64, 1, 28, 28).numpy(), torch.zeros(64, dtype=torch.int64).numpy())
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    config = TrainingConfig(
        epochs=4,
        batch_size=16,
        optimizer="adamw",
        learning_rate=0.003,
        augmentation=Augmentation(max_shift=0),
    )
    run = fit(student, images, images, config, loss_function=Imitation(teacher, ["stem"]))
    assert run.history[-1].parts["maps"] < run.history[0].parts["maps"]
    assert run.history[-1].loss < run.history[0].loss
    for name, tensor in teacher.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_another_teacher_does_not_continue_a_run(tmp_path: Path) -> None:
    images = Examples(np.ones((8, 2, 1, 1), dtype=np.float32), np.zeros(8, dtype=np.int64))
    config = TrainingConfig(epochs=1, batch_size=4, augmentation=Augmentation(max_shift=0))

    def train(teacher: nn.Module) -> list[EpochRecord]:
        loss = Imitation(teacher, ["maps"])
        run = fit(Scaled(3, 3), images, images, config, loss_function=loss, checkpoint=tmp_path / "state.pt")
        return run.history

    assert train(Scaled(3, 4)) == train(Scaled(3, 4))
    with pytest.raises(CheckpointError, match="other settings"):
        train(Scaled(3, 5))


def test_what_cannot_be_compared_is_named() -> None:
    with pytest.raises(UnknownNameError, match=r"no layer in the teacher called 'blocks\.9'.*blocks\.3"):
        Imitation(create_model("tiny"), ["blocks.9"])
    with pytest.raises(SettingError, match=r"^temperature is 0, but scores are divided by it"):
        Imitation(create_model("tiny"), temperature=0)
    with pytest.raises(SettingError) as caught:
        Imitation(create_model("tiny"), "stem")
    assert str(caught.value) == "layers is 'stem', but several may be compared; give ['stem']."
    with pytest.raises(ModelError) as raised:
        Imitation(Scaled(1, 2)).losses(nn.Flatten(), batch_of(torch.ones(5, 2, 1, 1)))
    assert str(raised.value) == (
        "The student gives scores of shape (5, 2) and the teacher of (5, 3), but they are compared class by "
        "class; take a teacher for the same classes."
    )
    idle = Scaled(1, 2)
    idle.idle = nn.ReLU()
    with pytest.raises(ModelError, match=r"^The layer idle of the student is not run for these pictures"):
        Imitation(idle, ["idle"]).losses(idle, batch_of(torch.ones(1, 2, 1, 1)))
    with pytest.raises(SettingError, match=r"^weight is -1, but a loss is multiplied by it"):
        Imitation(create_model("tiny"), weight=-1)
    imitation = Imitation(create_model("depthwise"), ["blocks.1"])
    with pytest.raises(
        ModelError,
        match=r"^The layer blocks\.1 gives \(48, 7, 7\) for one picture, the teacher's \(64, 7, 7\)",
    ):
        imitation.losses(create_model("tiny"), batch_of(torch.zeros(1, 1, 28, 28)))
