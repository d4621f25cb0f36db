"""Gates by hand, skipped against dense computation, counted work, training, and errors."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from course_lib.errors import ModelError, SettingError
from course_lib.pruning.gating import GatedConv, GatedNet, SkippingConv, SkippingNet, keep_largest
from course_lib.reproducibility import seeded_torch
from course_lib.training import Augmentation, Examples, TrainingConfig, accuracy, fit


def make_net(keep_ratio: float = 0.5, seed: int = 0) -> GatedNet:
    """Return a small net whose norms have been somewhere, with two gated convolutions."""
    with seeded_torch(seed):
        first = nn.Conv2d(1, 6, 3, padding=1)
        norm = nn.BatchNorm2d(8)
        nn.init.uniform_(norm.weight, 0.5, 2)
        nn.init.normal_(norm.bias)
        steps = nn.Sequential(
            first,
            nn.ReLU(),
            nn.MaxPool2d(2),
            GatedConv(nn.Conv2d(6, 8, 3, padding=1, bias=False), norm, keep_ratio, seed=1),
            nn.MaxPool2d(2),
            GatedConv(nn.Conv2d(8, 10, 3, stride=2, padding=1), None, keep_ratio, seed=2),
        )
        net = GatedNet(steps, nn.Linear(10, 3))
        net(torch.randn(16, 1, 8, 8))
    return net.eval()


def test_the_worked_example() -> None:
    gate = keep_largest(torch.tensor([[0.5, 2.0, 1.0]]), 2)
    assert gate.tolist() == [[0, 2, 1]]
    conv = nn.Conv2d(1, 3, 1, bias=False)
    conv.weight.data = torch.tensor([9.0, 1.0, -3.0]).reshape(3, 1, 1, 1)
    gated = GatedConv(conv, None, 2 / 3)
    # s = 1, so g = G + b
    gated.predictor.weight.data = torch.tensor([[-0.5], [1.0], [0.0]])
    assert gated(torch.ones(1, 1, 1, 1)).flatten().tolist() == [0, 2, 0]


@given(st.integers(1, 8), st.integers(1, 3), st.integers(0, 100))
def test_exactly_the_largest_stay(count: int, rows: int, seed: int) -> None:
    scores = np.random.default_rng(seed).permutation(8 * rows).reshape(rows, 8) + 1.0
    kept = keep_largest(torch.from_numpy(scores), count).numpy()
    for row, expected in zip(kept, scores, strict=True):
        assert sorted(row[row > 0]) == sorted(expected)[8 - count :]
        assert (row[row > 0] == expected[row > 0]).all()


@settings(max_examples=25)
@given(st.floats(0.05, 1), st.integers(0, 1000))
def test_skipping_gives_what_the_dense_computation_gives(keep_ratio: float, seed: int) -> None:
    net = make_net(keep_ratio, seed % 7)
    skipping = SkippingNet(net)
    with seeded_torch(seed):
        images = torch.randn(3, 1, 8, 8)
    expected = net(images)
    for index in range(3):
        torch.testing.assert_close(
            skipping(images[index : index + 1])[0], expected[index], atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3, "stride": 2, "padding": 1, "bias": False},
        {"kernel_size": (3, 1), "padding": "same", "dilation": 2},
        {"kernel_size": 3, "padding": (2, 1), "padding_mode": "reflect"},
    ],
    ids=str,
)
def test_any_convolution_with_closed_inputs(options: dict) -> None:
    with seeded_torch(3):
        gated = GatedConv(nn.Conv2d(5, 6, **options), nn.BatchNorm2d(6), 0.5).eval()
        x = torch.randn(1, 5, 7, 8)
        nn.init.uniform_(gated.norm.running_var, 0.5, 2)
    opened = torch.tensor([3, 0, 4])
    masked = torch.zeros_like(x).index_copy(1, opened, x[:, opened])
    with torch.no_grad():
        y, kept = SkippingConv(gated)(x[:, opened], opened)
        expected = gated(masked)
    torch.testing.assert_close(y, expected[:, kept], atol=1e-5, rtol=1e-4)
    closed = [channel for channel in range(6) if channel not in kept.tolist()]
    assert len(closed) == 3
    assert not expected[:, closed].any()


def test_norm_and_convolution_fold_into_one() -> None:
    step = make_net().steps[3]
    assert isinstance(step, GatedConv)
    x = torch.randn(2, 6, 4, 4)
    torch.testing.assert_close(
        F.conv2d(x, *step.folded(), padding=1), step.norm(step.conv(x)), atol=1e-5, rtol=1e-4
    )


def test_the_closed_channels_are_really_not_computed() -> None:
    net, image = make_net(0.5), torch.ones(1, 1, 8, 8)
    skipping = SkippingNet(net)
    with FlopCounterMode(display=False) as dense:
        net(image)
    with FlopCounterMode(display=False) as skipped:
        skipping(image)
    predictors = 6 * 8 + 8 * 10
    first = 64 * 9 * 6
    assert dense.get_total_flops() // 2 == first + 16 * 9 * 6 * 8 + 1 * 9 * 8 * 10 + predictors + 10 * 3
    assert skipped.get_total_flops() // 2 == first + 16 * 9 * 6 * 4 + 1 * 9 * 4 * 5 + predictors + 5 * 3


def test_gradients_reach_the_predictor_through_the_open_channels() -> None:
    net = make_net(0.5)
    step = net.steps[3]
    images = torch.ones(1, 1, 8, 8)
    net(images).sum().backward()
    pooled = net.steps[:3](images).abs().mean(dim=(2, 3))
    gate = keep_largest(step.saliency(pooled), step.keep)[0]
    moved = step.predictor.bias.grad != 0
    assert moved.any()
    assert not (moved & (gate == 0)).any()


def test_fit_trains_it_and_images_open_channels_of_their_own() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(90) % 3
    inputs = random.normal(size=(90, 1, 8, 8)).astype(np.float32)
    inputs[labels == 0, :, ::2] += 3  # rows
    inputs[labels == 1, :, :, ::2] += 3  # columns
    examples = Examples(inputs, labels)
    still = Augmentation(flip=False, max_shift=0)
    config = TrainingConfig(epochs=10, batch_size=16, learning_rate=0.02, averaging=0.5, augmentation=still)
    net = fit(make_net(0.4).train(), examples, examples, config).model
    assert accuracy(net, examples) > 0.8
    step = net.steps[3]
    pooled = net.steps[:3](torch.from_numpy(inputs)).abs().mean(dim=(2, 3))
    opened = {
        tuple(row.nonzero().flatten().tolist()) for row in keep_largest(step.saliency(pooled), step.keep)
    }
    assert len(opened) > 1


def test_the_net_stays_as_it_was() -> None:
    net = make_net().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    SkippingNet(net)(torch.ones(1, 1, 8, 8))
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("keep_ratio", [0, 1.2, float("nan")])
def test_a_fraction_out_of_range(keep_ratio: float) -> None:
    with pytest.raises(SettingError) as error:
        GatedConv(nn.Conv2d(2, 4, 3), None, keep_ratio)
    assert str(error.value) == (
        f"keep_ratio is {keep_ratio!r}, but it is the fraction of channels computed for an image, above 0 "
        "and up to 1; try keep_ratio=0.5."
    )


def test_groups_and_batches_are_refused() -> None:
    with pytest.raises(ModelError, match=r"has 2 groups; gates need a convolution in which every output"):
        GatedConv(nn.Conv2d(2, 4, 3, groups=2), None, 0.5)
    with pytest.raises(ModelError) as error:
        SkippingNet(make_net())(torch.ones(2, 1, 8, 8))
    assert str(error.value) == (
        "SkippingNet got a batch of shape (2, 1, 8, 8); it takes one image, (1, C, H, W), for each image "
        "opens channels of its own: call it with images[i : i + 1] in turn."
    )
