"""Residual branches: which there are, and that a network without them computes the rest."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.architectures import create_model
from course_lib.data.torchvision_import import import_torchvision
from course_lib.errors import ModelError, UnknownNameError
from course_lib.pruning.structure import branches
from course_lib.pruning.structure.branches import Branch, remove_branches, residual_branches
from course_lib.pruning.structure.proof import Proof

IMAGE = torch.zeros(1, 1, 28, 28)


class Stack(nn.Module):
    """Additions of every kind: x + F(x), F(x) + x, two layers added, and a branch that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Linear(3, 3) for _ in range(3))
        self.left, self.right, self.used = (nn.Linear(3, 3) for _ in range(3))
        self.beside = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.first(x)
        x = self.third(F.relu(self.second(x))) + self.beside(x)
        x = self.left(x) + self.right(x)
        y = self.used(x)
        return (x + y) * y


class Product(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w1, self.w2 = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        self.w1.weight.data.fill_(2.0)
        self.w2.weight.data.fill_(3.0)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.w2(F.relu(self.w1(x)))


def test_the_worked_example() -> None:
    model, one = Product(), torch.ones(1, 1)
    assert model(one).item() == 7.0
    assert residual_branches(model) == (Branch("w1", ("w1", "w2")),)
    smaller = remove_branches(model, ["w1"], one)
    assert smaller(one).item() == 1.0
    assert not list(smaller.parameters())


def test_only_what_corrects_an_identity_is_a_branch() -> None:
    found = residual_branches(Stack())
    assert found == (Branch("first", ("first",)), Branch("second", ("second", "third")))


@given(seed=st.integers(0, 1000), chosen=st.sets(st.sampled_from(["first", "second"]), min_size=1))
def test_the_rest_of_the_network_stays(seed: int, chosen: set[str]) -> None:
    torch.manual_seed(seed)
    model = Stack().eval()
    x = torch.randn(4, 3)
    smaller = remove_branches(model, chosen, x)
    for name in ("first", "third"):
        if {"first": "first", "third": "second"}[name] in chosen:
            nn.init.zeros_(model.get_submodule(name).weight)
            nn.init.zeros_(model.get_submodule(name).bias)
    torch.testing.assert_close(smaller(x), model(x))


@pytest.mark.parametrize(
    ("name", "count", "shared"),
    [("residual", 3, "blocks.2"), ("depthwise", 1, "blocks.3"), ("vision_transformer", 8, "blocks.0.norm2")],
)
def test_networks_of_the_zoo(name: str, count: int, shared: str) -> None:
    model = create_model(name).eval()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    names = [branch.name for branch in residual_branches(model)]
    assert len(names) == len(set(names)) == count
    assert shared in names
    smaller = remove_branches(model, names, IMAGE)
    assert not residual_branches(smaller)
    assert sum(p.numel() for p in smaller.parameters()) < sum(p.numel() for p in model.parameters())
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[key])


def test_torchvision_knows_the_same_branches() -> None:
    import_torchvision()
    from torchvision.models import mobilenet_v2
    from torchvision.models.mobilenetv2 import InvertedResidual

    model = mobilenet_v2(weights=None)
    oracle = [
        f"{name}.conv"
        for name, module in model.named_modules()
        if isinstance(module, InvertedResidual) and module.use_res_connect
    ]
    assert [branch.name for branch in residual_branches(model)] == oracle


def test_an_unknown_branch_lists_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"no residual branch called 'blocks\.1'.*blocks\.0"):
        remove_branches(create_model("residual"), ["blocks.1"], IMAGE)


def test_a_model_that_differs_is_not_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(branches, "compare", lambda *_: Proof(0.5, 0.25))
    with pytest.raises(
        ModelError, match=r"^Without blocks\.0 the model differs from the masked one by 0\.5, so"
    ):
        remove_branches(create_model("residual"), ["blocks.0"], IMAGE)
