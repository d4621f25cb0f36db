import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from course_lib.benchmarking import macs
from course_lib.benchmarking.macs import conv2d_macs, linear_macs, profile_layers
from course_lib.errors import ModelError, SettingError


class SmallNet(nn.Module):
    """A depthwise-separable net with everything a profile meets: reuse, dropout, norm, a bare product."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
        self.pointwise = nn.Conv2d(4, 6, 1)
        self.norm = nn.BatchNorm2d(6)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(6, 3)
        self.mix = nn.Parameter(torch.eye(3))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        hidden = self.relu(self.norm(self.pointwise(self.relu(self.depthwise(images)))))
        return self.head(self.dropout(hidden.mean((2, 3)))) @ self.mix


def test_formulas_by_hand() -> None:
    assert conv2d_macs(3, 16, (3, 3), (32, 32)) == 442_368
    assert conv2d_macs(16, 16, (3, 3), (32, 32), groups=16) == 147_456
    assert linear_macs(64, 10) == 640
    assert linear_macs(64, 10, positions=49) == 31_360


@settings(max_examples=30, deadline=None)
@given(
    groups=st.sampled_from([1, 2, 4]),
    multiples=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 2),
    padding=st.integers(0, 1),
    batch=st.integers(1, 3),
)
def test_the_convolution_formula_agrees_with_what_torch_counts(
    groups: int, multiples: tuple[int, int], kernel: tuple[int, int], stride: int, padding: int, batch: int
) -> None:
    layer = nn.Conv2d(groups * multiples[0], groups * multiples[1], kernel, stride, padding, groups=groups)
    counted = profile_layers(layer, torch.zeros(batch, layer.in_channels, 7, 9)).layers[0]
    assert counted.output_shape is not None
    height, width = counted.output_shape[2:]
    assert counted.output_shape[0] == 1
    assert counted.macs == conv2d_macs(layer.in_channels, layer.out_channels, kernel, (height, width), groups)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_the_linear_formula_agrees_with_what_torch_counts(
    in_features: int, out_features: int, positions: int, bias: bool
) -> None:
    layer = nn.Linear(in_features, out_features, bias=bias)
    counted = profile_layers(layer, torch.zeros(2, positions, in_features))
    assert counted.macs == linear_macs(in_features, out_features, positions)


def test_halving_the_channels_quarters_a_convolution_and_halves_a_depthwise_one() -> None:
    assert conv2d_macs(8, 8, (3, 3), (5, 5)) * 4 == conv2d_macs(16, 16, (3, 3), (5, 5))
    assert conv2d_macs(8, 8, (3, 3), (5, 5), 8) * 2 == conv2d_macs(16, 16, (3, 3), (5, 5), 16)


def test_a_model_layer_by_layer_by_hand() -> None:
    profile = profile_layers(SmallNet(), torch.zeros(5, 4, 10, 10))
    assert [(layer.name, layer.kind, layer.macs, layer.params) for layer in profile.layers] == [
        ("(model)", "SmallNet", 9, 9),
        ("depthwise", "Conv2d", 100 * 4 * 9, 36),
        ("pointwise", "Conv2d", 100 * 4 * 6, 30),
        ("norm", "BatchNorm2d", 0, 12),
        ("relu", "ReLU", 0, 0),
        ("dropout", "Dropout", 0, 0),
        ("head", "Linear", 18, 21),
    ]
    assert profile.layers[1].output_shape == (1, 4, 10, 10)
    assert profile.name == "SmallNet"


def test_totals_do_not_depend_on_the_batch_and_agree_with_torch() -> None:
    model = SmallNet()
    totals = {profile_layers(model, torch.zeros(n, 4, 10, 10)).macs for n in (1, 2, 7)}
    assert totals == {3600 + 2400 + 18 + 9}
    assert profile_layers(model, torch.zeros(1, 4, 10, 10)).params == sum(
        p.numel() for p in model.parameters()
    )


@pytest.mark.parametrize("need_weights", [True, False])
def test_attention_is_counted_whole(need_weights: bool) -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(32, 4, batch_first=True)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.attention(tokens, tokens, tokens, need_weights=need_weights)[0]

    profile = profile_layers(Block(), torch.zeros(3, 10, 32))
    projections, products = linear_macs(32, 4 * 32, positions=10), 2 * 10 * 10 * 32
    assert profile.macs == projections + products
    assert profile.params == 4 * 32 * 32 + 4 * 32


def test_an_encoder_layer_counts_the_same_with_its_fast_path_on() -> None:
    layer = nn.TransformerEncoderLayer(16, 2, 24, batch_first=True)
    profile = profile_layers(layer, torch.zeros(2, 5, 16))
    assert profile.macs == 5 * (4 * 16 * 16 + 2 * 16 * 24) + 2 * 5 * 5 * 16


def test_a_shared_parameter_counts_once() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    profile = profile_layers(model, torch.zeros(1, 4))
    assert [layer.params for layer in profile.layers] == [20, 4]
    assert profile.macs == 32


def test_several_inputs_are_cut_to_one_sample_and_others_left() -> None:
    class Gate(nn.Module):
        def forward(self, left: torch.Tensor, right: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
            return (left * right) @ table

    profile = profile_layers(Gate(), (torch.zeros(6, 4), torch.zeros(6, 4), torch.zeros(4, 3)))
    assert profile.macs == 12
    assert profile.layers[0].output_shape == (1, 3)


def test_nothing_is_left_behind() -> None:
    model = SmallNet().train()
    model.norm.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random_state = torch.get_rng_state()
    images = torch.rand(5, 4, 10, 10, requires_grad=True, generator=torch.Generator().manual_seed(0))
    profile_layers(model, images, runs=2)
    assert model.training
    assert model.dropout.training
    assert not model.norm.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in model.modules())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert torch.is_grad_enabled()


def test_time_by_layer_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    # Each look at the clock takes a millisecond: a layer without children spends 1, the model 5 − 2 itself.
    milliseconds = itertools.count()
    monkeypatch.setattr(macs, "perf_counter_ns", lambda: next(milliseconds) * 10**6)
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    profile = profile_layers(model, torch.zeros(1, 4), runs=4, warmup=2)
    assert [layer.samples_ms for layer in profile.layers] == [(1.0,) * 4, (1.0,) * 4]
    assert profile.p50_ms == 2.0
    assert next(milliseconds) == 6 * 6


def test_the_record_holds_the_threads_and_the_seed() -> None:
    profile = profile_layers(nn.Linear(2, 2), torch.zeros(1, 2), seed=4, name="my net")
    assert profile.machine.threads == torch.get_num_threads()
    assert profile.machine.seed == 4
    assert profile.name == "my net"


def test_a_model_that_fails_is_explained_and_left_as_it_was() -> None:
    model = SmallNet().train()
    with pytest.raises(ModelError) as caught:
        profile_layers(model, torch.zeros(1, 3, 10, 10))
    assert str(caught.value).startswith("SmallNet could not run on the example inputs (RuntimeError: ")
    assert str(caught.value).endswith(": pass inputs for which model(*inputs) works.")
    assert all(module.training and not module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("inputs", [(), [1.0], torch.tensor(1.0), torch.zeros(0, 4), (torch.zeros(1), "x")])
def test_inputs_that_are_no_samples_are_refused(inputs: object) -> None:
    with pytest.raises(ModelError, match=r"^example_inputs must be a tensor with at least one sample"):
        profile_layers(nn.ReLU(), inputs)  # type: ignore[arg-type]


def test_what_cannot_be_profiled_is_told_in_one_sentence() -> None:
    with pytest.raises(ModelError, match=r"^profile_layers got function: pass a torch.nn.Module.$"):
        profile_layers(lambda x: x, torch.zeros(1))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"^profile_layers times layers on the CPU only"):
        profile_layers(nn.Linear(2, 2, device="meta"), torch.zeros(1, 2, device="meta"), runs=1)
    with pytest.raises(ModelError, match=r"^LazyLinear could not run on the example inputs"):
        profile_layers(nn.LazyLinear(3), torch.zeros(1, 2))
    with pytest.raises(SettingError, match=r"^runs=-1 is not possible here"):
        profile_layers(nn.ReLU(), torch.zeros(1), runs=-1)
    with pytest.raises(SettingError, match=r"^groups=0 is not possible here"):
        conv2d_macs(4, 4, (3, 3), (8, 8), groups=0)
    with pytest.raises(SettingError, match=r"^positions=0 is not possible here"):
        linear_macs(4, 4, positions=0)
