import operator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, fx, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from course_lib.architectures.depthwise import SeparableNet
from course_lib.architectures.plain_conv import PlainConvNet
from course_lib.architectures.residual import BasicBlock, ResidualNet
from course_lib.architectures.tracing import calls, is_addition, trace_steps
from course_lib.edge.memory_plan import plan_memory
from course_lib.errors import ModelError, SettingError

RESIDUAL = ((8, 1), (16, 2), (16, 1))
NETWORKS = {
    "residual": lambda: ResidualNet(8, RESIDUAL, 10),
    "separable": lambda: SeparableNet(8, ((16, 1), (16, 1), (24, 2)), 10),
    "plain": lambda: PlainConvNet((4, 8, 8), 10),
}
IMAGE = (1, 1, 28, 28)


class LiveBytes(TorchDispatchMode):
    """Watches every operator that PyTorch runs, and adds up the float storages that are not yet freed."""

    def __init__(self) -> None:
        super().__init__()
        self.storages: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak_bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        given_in = {tensor.untyped_storage()._cdata for tensor in tree_leaves(args) if _is_float(tensor)}
        for tensor in filter(_is_float, tree_leaves(result)):
            storage = tensor.untyped_storage()
            if storage._cdata not in given_in:
                self.storages[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        alive = sum(size for reference, size in self.storages.values() if not reference.expired())
        self.peak_bytes = max(self.peak_bytes, alive)
        return result


def _is_float(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


class FromOne(nn.Module):
    """Makes the image itself, from one number, so that nobody outside the network keeps it alive."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, one: Tensor) -> Tensor:
        return self.model(one.expand(IMAGE).contiguous())  # type: ignore[no-any-return]


def measured_peak(model: nn.Module) -> int:
    """Run the model's steps as ordinary Python code and return the peak of what lived at once."""
    graph, one = trace_steps(model), torch.ones(1, 1, 1, 1)
    with torch.no_grad(), LiveBytes() as live:
        graph(one)
    return live.peak_bytes


def deployed(model: nn.Module) -> fx.GraphModule:
    """Return the model as a runtime runs it: no norms, activations and sums in place."""
    graph = trace_steps(model)
    for node in graph.graph.nodes:
        if calls(node, nn.BatchNorm2d):
            graph.set_submodule(node.target, nn.Identity())
        elif calls(node, nn.ReLU):
            graph.set_submodule(node.target, nn.ReLU(inplace=True))
        elif is_addition(node):
            node.target = operator.iadd
    graph.recompile()
    return graph


def test_the_worked_example_of_a_residual_block() -> None:
    block = BasicBlock(16, 16, 1)
    plan = plan_memory(block, torch.zeros(1, 16, 28, 28))
    by_name = {step.name: step for step in plan.steps}
    assert by_name["conv1.0"].live_bytes == 2 * 50_176
    assert by_name["conv1.0"].held == ()
    assert by_name["conv2.0"].live_bytes == 3 * 50_176
    assert by_name["conv2.0"].held == ("x",)
    assert by_name["add"].live_bytes == 2 * 50_176
    assert plan.peak_bytes == 150_528
    assert plan.peak_step.name == "conv2.0"
    without = nn.Sequential(block.conv1, block.relu, block.conv2, block.relu)
    assert plan_memory(without, torch.zeros(1, 16, 28, 28)).peak_bytes == 100_352


@pytest.mark.parametrize("name", NETWORKS)
def test_as_written_the_peak_is_that_of_running_the_steps(name: str) -> None:
    model = FromOne(NETWORKS[name]())
    plan = plan_memory(model, torch.ones(1, 1, 1, 1), in_place=False)
    assert plan.peak_bytes == measured_peak(model)


@pytest.mark.parametrize("name", NETWORKS)
def test_in_place_the_peak_is_that_of_running_the_folded_steps(name: str) -> None:
    model = FromOne(NETWORKS[name]())
    plan = plan_memory(model, torch.ones(1, 1, 1, 1))
    assert plan.peak_bytes == measured_peak(deployed(model))


def test_an_activation_takes_memory_only_where_it_is_not_in_place() -> None:
    layers = nn.Sequential(nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4), nn.ReLU())
    image = torch.zeros(1, 1, 5, 5)
    assert [step.live_bytes for step in plan_memory(layers, image).steps] == [100, 500, 400, 400]
    as_written = plan_memory(layers, image, in_place=False)
    assert [step.live_bytes for step in as_written.steps] == [100, 500, 800, 800]


class Skips(nn.Module):
    """Convolutions in a row; each may add, or put beside, what one of the earlier ones gave."""

    def __init__(self, layers: list[tuple[int, int | None, bool, bool]]) -> None:
        super().__init__()
        self.layers = layers
        self.relu, self.relu_ = nn.ReLU(), nn.ReLU(inplace=True)
        channels = [1]
        convs = []
        for out_channels, back, beside, _ in layers:
            convs.append(nn.Conv2d(channels[-1], out_channels, 1))
            source = None if back is None else channels[back % len(channels)]
            channels.append(out_channels + source if source and beside else out_channels)
        self.convs = nn.ModuleList(convs)

    def forward(self, x: Tensor) -> Tensor:
        values = [x]
        for conv, (_, back, beside, in_place) in zip(self.convs, self.layers, strict=True):
            y = conv(values[-1])
            y = self.relu_(y) if in_place else self.relu(y)
            if back is not None:
                earlier = values[back % len(values)]
                y = torch.cat([y, earlier], 1) if beside else y + earlier.mean(1, keepdim=True)
            values.append(y)
        return values[-1].flatten(1)


layers = st.tuples(st.integers(1, 6), st.none() | st.integers(0, 5), st.booleans(), st.booleans())
networks = st.lists(layers, min_size=1, max_size=6)


@given(networks)
@settings(max_examples=40)
def test_whatever_the_skips_the_peak_is_that_of_running_the_steps(choice) -> None:
    model = FromOne(Skips(choice))
    plan = plan_memory(model, torch.ones(1, 1, 1, 1), in_place=False)
    assert plan.peak_bytes == measured_peak(model)


@given(networks, st.integers(1, 4), st.sampled_from([1, 2, 4]))
@settings(max_examples=40)
def test_a_plan_grows_with_the_batch_and_the_values_and_shrinks_in_place(choice, batch, size) -> None:
    model = Skips(choice)
    one = plan_memory(model, torch.zeros(1, 1, 4, 4), bytes_per_value=1)
    many = plan_memory(model, torch.zeros(batch, 1, 4, 4), bytes_per_value=size)
    assert many.peak_bytes == batch * size * one.peak_bytes
    as_written = plan_memory(model, torch.zeros(1, 1, 4, 4), bytes_per_value=1, in_place=False)
    assert one.peak_bytes <= as_written.peak_bytes
    widest = max(torch.Size(step.output_shape).numel() for step in one.steps)
    assert widest <= one.peak_bytes


def test_views_and_steps_in_place_take_no_memory_of_their_own() -> None:
    class Views(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = x * torch.ones(2, 1)
            z = y.view(-1)
            z.add_(1)
            return y.sum(0)

    plan = plan_memory(Views(), torch.zeros(2, 8), in_place=False)
    # x and y together at the product (the ones are a weight); then y alone; at the end the sum too.
    assert [step.live_bytes for step in plan.steps[1:]] == [64 + 64, 64, 64, 64 + 32]


def test_what_the_docstring_says_of_the_estimate() -> None:
    class Swish(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * torch.sigmoid(x)

    class Symmetric(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = x * 2
            return y + y.t()

    # Too high: a fused kernel writes x·σ(x) over x.
    assert plan_memory(Swish(), torch.zeros(1, 100)).peak_bytes == 2 * 400
    # Too low: the sum may not be written over y, of which it reads two places at a time.
    assert plan_memory(Symmetric(), torch.zeros(10, 10)).peak_bytes == 400


def test_whole_numbers_keep_their_size_and_weights_are_not_counted() -> None:
    class Looks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1000))
            self.table = nn.Embedding(100, 8)

        def forward(self, words: Tensor) -> Tensor:
            return self.table(words) * self.scale[:8]  # type: ignore[no-any-return]

    plan = plan_memory(Looks(), torch.zeros(1, 5, dtype=torch.int64), bytes_per_value=1)
    assert plan.peak_bytes == 5 * 8 + 5 * 8  # 5 words of 8 bytes, and 5 × 8 values of 1 byte


def test_the_table_and_its_sentence_say_where_the_peak_is() -> None:
    model = ResidualNet(8, RESIDUAL, 10).train()
    plan = plan_memory(model, torch.zeros(IMAGE))
    assert model.training
    assert plan.summary() == (
        "ResidualNet needs 75.3 kB (75,264 bytes) of activation memory at 4 bytes a value, at the step "
        "blocks.0.conv2.0 (Conv2d) while stem.1 is held for later."
    )
    peak = next(row for row in plan.table_rows() if row["step"] == "blocks.0.conv2.0")
    assert (peak["alive"], peak["of the peak"], peak["held for later"]) == ("75.3 kB", "100%", "stem.1")
    assert plan.summary() in str(plan)
    assert "<table>" in plan._repr_html_()


def test_the_inputs_stay_as_they_were() -> None:
    images = torch.full((1, 4), -1.0)
    plan_memory(nn.ReLU(inplace=True), images)
    assert (images == -1).all()


def test_bad_input_gets_one_sentence() -> None:
    model = ResidualNet(8, RESIDUAL, 10)
    with pytest.raises(SettingError, match=r"^bytes_per_value is 0; pass 4 for float32 activations or 1"):
        plan_memory(model, torch.zeros(IMAGE), bytes_per_value=0)
    with pytest.raises(ModelError, match=r"^ResidualNet could not run on the example inputs \(.*\): pass"):
        plan_memory(model, torch.zeros(1, 3, 28, 28))
    with pytest.raises(ModelError, match=r"^ReLU could not run on the example inputs \(.*\): pass inputs"):
        plan_memory(nn.ReLU(), np.zeros((1, 4), np.float32))
    with pytest.raises(ModelError) as caught:
        plan_memory(nn.Linear(3, 3), torch.zeros(0, 3))
    assert str(caught.value) == (
        "The example inputs of Linear hold no values (their shapes are (0, 3)): pass at least one input, for "
        "example images[:1]."
    )
    with pytest.raises(ModelError) as caught:
        plan_memory(nn.Linear(3, 3, device="meta"), torch.zeros(1, 3, device="meta"))
    assert str(caught.value) == (
        "Linear runs on PyTorch's meta device, which gives no memory to any tensor: build the model and the "
        "inputs on the CPU."
    )
