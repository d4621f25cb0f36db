from threading import Event, Thread

import pytest
import torch
from torch import Tensor, nn

from course_lib.architectures.tracing import called_once, calls, is_addition, is_relu, layer_of, trace_steps
from course_lib.errors import ModelError
from tests.quantization.models.test_graph import Small


def test_the_model_itself_is_left_as_it_was() -> None:
    model = Small().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    traced = trace_steps(model)
    traced.get_submodule("second").weight.data.zero_()  # type: ignore[operator]
    assert model.training
    assert not traced.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_steps_are_recognized_in_their_spellings() -> None:
    steps = {node.name: node for node in trace_steps(Small()).graph.nodes}
    assert is_relu(steps["first_1"])
    assert is_relu(steps["relu"])
    assert is_addition(steps["add"])
    assert not is_addition(steps["add_1"])  # a number is added
    assert called_once(steps["second"])
    assert not called_once(steps["mix"])
    assert calls(steps["mean"], "mean")
    assert layer_of(steps["x"]) is None


class Deciding(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_a_forward_method_that_decides_by_values_is_refused() -> None:
    sentence = r"^Deciding cannot be traced \(.*\); its forward method may not decide by the values"
    with pytest.raises(ModelError, match=sentence):
        trace_steps(Deciding())


def test_shared_tensors_use_the_same_memory_but_not_the_same_gradients() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    traced = trace_steps(model, share_tensors=True)
    for ours, theirs in zip(traced.state_dict().values(), model.state_dict().values(), strict=True):
        assert ours.data_ptr() == theirs.data_ptr()
    traced(torch.ones(3, 2)).sum().backward()
    assert traced.get_submodule("0").weight.grad is not None
    assert all(parameter.grad is None for parameter in model.parameters())


class InPlace(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = x * 2
        y.add_(1)
        return y


def test_steps_in_place_whose_result_is_not_used_stay() -> None:
    assert trace_steps(InPlace())(torch.tensor([3.0])).item() == 7.0


def test_other_threads_run_models_while_one_is_traced() -> None:
    found: list[Tensor] = []
    other, picture = nn.Sequential(nn.Linear(2, 2), nn.ReLU()), torch.ones(1, 2)

    class Slow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            thread = Thread(target=lambda: found.append(other(picture)))
            thread.start()
            thread.join()
            return self.layer(x)

    traced = trace_steps(Slow())
    assert torch.equal(found[0], other(picture))
    assert [str(node.target) for node in traced.graph.nodes] == ["x", "layer", "output"]


def test_two_threads_trace_one_after_the_other() -> None:
    call = nn.Module.__call__
    started, traced = Event(), []

    class First(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            second.start()
            started.wait()
            second.join(0.2)
            assert second.is_alive()  # it waits for this trace
            return x + 1

    def trace_another() -> None:
        started.set()
        traced.append(trace_steps(nn.Sequential(nn.Linear(2, 2), nn.ReLU())))

    second = Thread(target=trace_another)
    trace_steps(First())
    second.join()
    assert [node.op for node in traced[0].graph.nodes].count("call_module") == 2
    assert nn.Module.__call__ is call
