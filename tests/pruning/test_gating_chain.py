"""Gates in whole models: the same model when all is kept, what opens, and which models are refused."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.architectures import create_model, load_pretrained
from course_lib.errors import ModelError
from course_lib.pruning.gating import GatedConv, SkippingNet
from course_lib.pruning.gating_chain import insert_gates, opened_channels
from course_lib.reproducibility import seeded_torch


class Spelled(nn.Module):
    """The same chain, with its ReLU and its flatten written as functions."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 6, 3)
        self.pool, self.head = nn.AvgPool2d(2), nn.Linear(6 * 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = self.pool(F.relu(self.two(torch.relu(self.one(x)))))
        return self.head(torch.flatten(y, 1))


def images(count: int = 4, side: int = 28) -> Tensor:
    with seeded_torch(0):
        return torch.randn(count, 1, side, side)


def neutral(net: nn.Module) -> None:
    """Let every gate be 1."""
    for step in net.modules():
        if isinstance(step, GatedConv):
            nn.init.zeros_(step.predictor.weight)


def test_with_gates_of_1_it_is_the_model() -> None:
    for model, x in ((load_pretrained("plain_conv"), images()), (Spelled().eval(), images(side=8))):
        net = insert_gates(model, 1.0)
        neutral(net)
        torch.testing.assert_close(net(x), model(x), atol=1e-4, rtol=1e-4)


def test_skipping_gives_the_scores_of_the_gated_model() -> None:
    net = insert_gates(load_pretrained("plain_conv"), 0.5)
    skipping, x = SkippingNet(net), images()
    expected = net(x)
    for index in range(len(x)):
        torch.testing.assert_close(skipping(x[index : index + 1])[0], expected[index], atol=1e-4, rtol=1e-4)


def test_the_first_convolution_stays_dense_and_the_model_untouched() -> None:
    model = create_model("plain_conv").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    net = insert_gates(model, 0.25)
    assert net.training
    gated = [step for step in net.steps if isinstance(step, GatedConv)]
    assert [(step.conv.out_channels, step.keep) for step in gated] == [(32, 8), (32, 8)]
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_what_opens_is_what_is_not_zero() -> None:
    net = insert_gates(load_pretrained("plain_conv"), 0.5)
    opened = opened_channels(net, images())
    assert [channels.sum(1).tolist() for channels in opened.values()] == [[16] * 4, [16] * 4]
    x = images()
    for index, step in enumerate(net.steps):
        x = step(x)
        if index in opened:
            assert not x[~opened[index]].any()


@pytest.mark.parametrize("name", ["residual", "depthwise", "vision_transformer"])
def test_models_that_are_no_chain_are_refused(name: str) -> None:
    with pytest.raises(ModelError, match="gates need"):
        insert_gates(create_model(name), 0.5)


@pytest.mark.parametrize(
    ("layers", "why"),
    [
        (
            [nn.Conv2d(1, 2, 3), nn.Sigmoid(), nn.Flatten(), nn.Linear(8, 2)],
            "cannot be gated: its step '0' has no ReLU behind it; gates need a chain of convolutions, each "
            "with a ReLU, as the zoo's plain_conv is.",
        ),
        (
            [nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Softmax(1), nn.Flatten(), nn.Linear(8, 2)],
            "cannot be gated: its step '2' is none of the steps that gates know; gates need a chain of "
            "convolutions, each with a ReLU, as the zoo's plain_conv is.",
        ),
        (
            [nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)],
            "does not end in a flatten and one linear layer behind two convolutions or more; gates need such "
            "a chain, as the zoo's plain_conv is.",
        ),
    ],
)
def test_refusals_name_the_step(layers: list[nn.Module], why: str) -> None:
    with pytest.raises(ModelError) as error:
        insert_gates(nn.Sequential(*layers), 0.5)
    assert str(error.value) == f"Sequential {why}"
