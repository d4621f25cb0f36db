import pytest
import torch
from torch import Tensor, fx

from course_lib.edge.liveness import Buffer, buffers_of


def traced(function, x: Tensor) -> dict[fx.Node, tuple[Tensor, ...]]:
    """Return the run of a function of one tensor, each result by its step."""
    values: dict[fx.Node, tuple[Tensor, ...]] = {}

    class Recorder(fx.Interpreter):
        def run_node(self, n: fx.Node) -> object:
            result = super().run_node(n)
            values[n] = (result,) if isinstance(result, Tensor) else tuple(result)
            return result

    Recorder(fx.symbolic_trace(function), garbage_collect_values=False).run(x)
    return values


def spans(buffers: list[Buffer]) -> list[tuple[list[str], int, int, int]]:
    return [([node.name for node in b.values], b.size_bytes, b.first, b.last) for b in buffers]


def worked_example(x: Tensor) -> Tensor:
    y = x.view(-1)
    return y + 1


def test_the_worked_example() -> None:
    run = traced(worked_example, torch.zeros(2, 3))
    # Steps: x, view, add, output; the view lives in x's memory.
    assert spans(buffers_of(run, [], 4)) == [(["x", "view"], 24, 0, 2), (["add"], 24, 2, 3)]
    add = next(node for node in run if node.name == "add")
    assert spans(buffers_of(run, [add], 4)) == [(["x", "view", "add"], 24, 0, 3)]


def test_memory_is_not_taken_over_while_something_in_it_is_still_to_be_read() -> None:
    run = traced(lambda x: (x + 1) * x, torch.zeros(4))
    add, mul = (next(node for node in run if node.name == name) for name in ("add", "mul"))
    assert spans(buffers_of(run, [add], 4)) == [(["x"], 16, 0, 2), (["add"], 16, 1, 2), (["mul"], 16, 2, 3)]
    both = spans(buffers_of(run, [add, mul], 4))
    assert both == [(["x", "mul"], 16, 0, 3), (["add"], 16, 1, 2)]


def test_memory_of_another_size_is_not_taken_over() -> None:
    run = traced(lambda x: x + torch.zeros(3, 1), torch.zeros(4))
    add = next(node for node in run if node.name == "add")
    # The zeros are a weight of the traced graph, and not counted.
    assert spans(buffers_of(run, [add], 4)) == [(["x"], 16, 0, 2), (["add"], 48, 2, 3)]


@pytest.mark.parametrize(("dtype", "size"), [(torch.float32, 4), (torch.float64, 4), (torch.int64, 32)])
def test_only_floating_point_values_take_the_size_asked_for(dtype: torch.dtype, size: int) -> None:
    run = traced(lambda x: x.flip(0), torch.zeros(4, dtype=dtype))
    assert {buffer.size_bytes for buffer in buffers_of(run, [], 1)} == {size}


def test_the_last_result_written_up_to_a_step_holds_the_memory() -> None:
    run = traced(worked_example, torch.zeros(2, 3))
    (buffer,) = buffers_of(run, [node for node in run if node.name == "add"], 4)
    assert [buffer.holder_at(position).name for position in range(3)] == ["x", "view", "add"]
