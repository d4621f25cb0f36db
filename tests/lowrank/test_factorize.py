"""Whole models: exact when all is kept, MACs as counted, what stays and why, and errors."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.architectures import create_model, list_models
from course_lib.benchmarking.macs import profile_layers
from course_lib.errors import ModelError, SettingError, UnknownNameError
from course_lib.lowrank.factorize import LowRankConfig, factorize
from course_lib.reproducibility import seeded_torch

IMAGES = torch.zeros(2, 1, 28, 28).normal_(generator=torch.Generator().manual_seed(0))


class Branching(nn.Module):
    """Convolutions that share a weight, read one elsewhere, run twice, or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.twice = nn.Conv2d(12, 12, 3, padding=1)
        self.grouped = nn.Conv2d(12, 12, 3, padding=1, groups=3)
        self.tied = nn.Linear(12, 12, bias=False)
        self.other = nn.Linear(12, 12, bias=False)
        self.other.weight = self.tied.weight
        self.read = nn.Linear(12, 12)
        self.unused = nn.Linear(12, 12)

    def forward(self, x: Tensor) -> Tensor:
        y = self.twice(F.relu(self.twice(F.relu(self.stem(x)))))
        z = self.grouped(y).mean((2, 3))
        return self.read(self.other(F.relu(self.tied(z)))) + F.linear(z, self.read.weight)


@pytest.fixture
def branching() -> Branching:
    with seeded_torch(0):
        return Branching().eval()


@pytest.fixture
def colours() -> Tensor:
    return torch.zeros(3, 3, 8, 8).normal_(generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", list_models((1, 28, 28)))
def test_macs_are_those_counted_and_the_model_stays(name: str) -> None:
    with seeded_torch(0):
        model = create_model(name)
    before = copy.deepcopy(model.state_dict())
    factorized = factorize(model, IMAGES, LowRankConfig(energy_kept=0.7))
    assert factorized.macs_before == profile_layers(model, IMAGES).macs
    assert factorized.macs_after == profile_layers(factorized.model, IMAGES).macs < factorized.macs_before
    saved = sum(layer.macs_before - layer.choice.macs for layer in factorized.layers)
    assert factorized.macs_after == factorized.macs_before - saved
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    for layer in factorized.layers:
        assert layer.choice.energy_kept >= 0.7 - 1e-6
        assert (layer.choice.macs < layer.macs_before) == (layer.reason == "")


def test_a_model_of_low_rank_loses_nothing() -> None:
    with seeded_torch(0):
        model = nn.Sequential(
            nn.Conv2d(1, 12, 3), nn.ReLU(), nn.Conv2d(12, 12, 3), nn.Flatten(), nn.Linear(192, 20)
        )
        for index in (2, 4):
            weight = model[index].weight
            weight.data = (torch.randn(len(weight), 2) @ torch.randn(2, weight[0].numel())).reshape(
                weight.shape
            )
        x = torch.randn(3, 1, 8, 8)
    factorized = factorize(model, x, LowRankConfig(energy_kept=1 - 1e-9, methods=("svd",)))
    assert [layer.choice.rank for layer in factorized.layers] == [(), (2,), (2,)]
    assert all(layer.relative_error < 1e-4 for layer in factorized.layers)
    torch.testing.assert_close(factorized.model(x), model.eval()(x), atol=1e-3, rtol=1e-4)


def test_the_error_is_that_of_the_layers_output(branching: Branching, colours: Tensor) -> None:
    factorized = factorize(branching, colours, LowRankConfig(energy_kept=0.6))
    stem = factorized.layers[0]
    assert stem.path == "stem"
    expected, found = branching.stem(colours), factorized.model.stem(colours)
    assert stem.relative_error == pytest.approx(
        ((found - expected).norm() / expected.norm()).item(), rel=1e-4
    )


def test_what_stays_and_why(branching: Branching, colours: Tensor) -> None:
    factorized = factorize(branching, colours, LowRankConfig(energy_kept=0.5, kept=("stem",)))
    reasons = {layer.path: layer.reason for layer in factorized.layers}
    assert reasons == {
        "stem": "asked to stay",
        "twice": "",
        "grouped": "3 groups, each a small kernel of its own",
        "tied": "shares its weight with other",
        "other": "shares its weight with tied",
        "read": "its weight is also read outside the layer",
    }
    assert factorized.macs_after == profile_layers(factorized.model, colours).macs
    report = str(factorized)
    assert "| twice   |" in report
    assert report.endswith(f"{factorized.macs_before:,} MACs became {factorized.macs_after:,}.")


def test_a_layer_that_runs_twice_counts_twice(branching: Branching, colours: Tensor) -> None:
    twice = factorize(branching, colours, LowRankConfig(energy_kept=0.5)).layers[1]
    assert (twice.path, twice.macs_before) == ("twice", 2 * 12 * 12 * 9 * 64)


@pytest.mark.parametrize("share", [0.4, 0.6, 0.9, 1.0])
@pytest.mark.parametrize("name", ["plain_conv", "depthwise"])
def test_a_budget_is_kept_and_used(name: str, share: float) -> None:
    with seeded_torch(0):
        model = create_model(name)
    dense = profile_layers(model, IMAGES).macs
    budget = int(share * dense)
    factorized = factorize(model, IMAGES, LowRankConfig(macs_budget=budget))
    assert 0.9 * budget <= factorized.macs_after <= budget
    assert factorized.macs_after == profile_layers(factorized.model, IMAGES).macs
    assert (factorized.macs_after == dense) == (share == 1)


def test_a_smaller_budget_keeps_less_energy() -> None:
    with seeded_torch(0):
        model = create_model("residual")
    budgets = (6_000_000, 9_000_000, 12_000_000, 15_000_000)
    kept = [
        sum(each.choice.energy_kept for each in factorize(model, IMAGES, LowRankConfig(macs_budget=b)).layers)
        for b in budgets
    ]
    assert kept == sorted(kept)


def test_more_methods_never_cost_more() -> None:
    with seeded_torch(0):
        model = create_model("plain_conv")
    alone = [
        factorize(model, IMAGES, LowRankConfig(energy_kept=0.8, methods=(method,))).macs_after
        for method in ("svd", "tucker", "spatial")
    ]
    assert factorize(model, IMAGES, LowRankConfig(energy_kept=0.8)).macs_after <= min(alone)


def test_steps_of_hooi_keep_more_of_the_energy() -> None:
    with seeded_torch(0):
        model = nn.Sequential(nn.Conv2d(4, 16, 3), nn.Conv2d(16, 16, 3))
        x = torch.randn(1, 4, 9, 9)
    kept = [
        factorize(model, x, LowRankConfig(energy_kept=0.5, methods=("tucker",), hooi_steps=steps)).layers[1]
        for steps in (0, 2)
    ]
    assert kept[0].choice.rank == kept[1].choice.rank
    assert kept[1].choice.energy_kept > kept[0].choice.energy_kept


def test_a_budget_nothing_can_meet() -> None:
    with seeded_torch(0):
        model = create_model("plain_conv")
    with pytest.raises(SettingError) as error:
        factorize(model, IMAGES, LowRankConfig(macs_budget=10))
    sentence = str(error.value)
    smallest = int(sentence.split("the model costs ")[1].split(";")[0].replace(",", ""))
    assert factorize(model, IMAGES, LowRankConfig(macs_budget=smallest)).macs_after == smallest
    with pytest.raises(SettingError, match=r"^The budget is .* MACs, but even with rank 1 "):
        factorize(model, IMAGES, LowRankConfig(macs_budget=smallest - 1))


def test_settings_that_contradict_each_other() -> None:
    with pytest.raises(SettingError) as error:
        LowRankConfig()
    assert str(error.value) == "energy_kept is None and macs_budget None; pass exactly one of the two."
    with pytest.raises(SettingError, match="pass exactly one of the two"):
        LowRankConfig(energy_kept=0.5, macs_budget=5)
    with pytest.raises(SettingError, match=r"energy_kept is 1\.5, but it is the fraction"):
        LowRankConfig(energy_kept=1.5)
    with pytest.raises(SettingError, match=r"hooi_steps is -1 and methods .*; expected 0 or more steps"):
        LowRankConfig(energy_kept=0.5, hooi_steps=-1)
    with pytest.raises(UnknownNameError, match="no method called 'cp'"):
        LowRankConfig(energy_kept=0.5, methods=("cp",))  # type: ignore[arg-type]


def test_models_and_inputs_that_do_not_fit(branching: Branching, colours: Tensor) -> None:
    config = LowRankConfig(energy_kept=0.5)
    with pytest.raises(UnknownNameError, match=r"no layer called 'stam'.*Did you mean 'stem'"):
        factorize(branching, colours, LowRankConfig(energy_kept=0.5, kept=("stam",)))
    with pytest.raises(ModelError, match="could not run on the example inputs"):
        factorize(branching, colours[:, :1], config)
    branching.twice.weight.data[0, 0] = float("inf")
    with pytest.raises(ModelError, match="hold NaN or infinite values, which have no factors"):
        factorize(branching, colours, config)
