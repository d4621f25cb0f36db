import operator

import torch
from torch import Tensor, nn

from course_lib.architectures import create_model
from course_lib.architectures.tracing import layer_of
from course_lib.quantization.models.fold import fold_batch_norms
from course_lib.quantization.models.graph import trace
from course_lib.quantization.models.placement import insert_after, quantized_tensors


def placed(model: nn.Module, kept_in_float: tuple[str, ...] = ()) -> list[str]:
    graph = fold_batch_norms(trace(model))
    return [node.name for node in quantized_tensors(graph, kept_in_float)]


class Block(nn.Module):
    """conv → ReLU → conv beside an identity, as in a residual network; pooled and classified."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv1, self.conv2 = (nn.Conv2d(c, 2, 3, padding=1) for c in (1, 2, 2))
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.stem(x))
        x = self.relu(x + self.conv2(self.relu(self.conv1(x))))
        return self.classifier(self.pool(x).flatten(1))


def test_a_residual_block_is_integer_from_the_input_to_the_classifier() -> None:
    # The sum has a quantizer behind its ReLU, the second convolution one before it; the scores have none.
    assert placed(Block()) == ["x", "relu", "relu_1", "conv2", "relu_2", "pool"]


def test_steps_that_move_values_share_the_grid_before_them() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8, 2))
    assert placed(model) == ["input_1", "_1"]


def test_layers_kept_in_float_need_no_quantizers() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    assert placed(model) == ["input_1", "_1", "_3"]
    assert placed(model, ("0", "4")) == ["_1"]


def test_the_residual_stream_of_a_transformer_stays_in_float() -> None:
    graph = fold_batch_norms(trace(create_model("vision_transformer")))
    chosen = quantized_tensors(graph)
    assert not any(node.target is operator.add for node in chosen)
    assert sum(isinstance(layer_of(node), nn.LayerNorm) for node in chosen) == 8  # two a block


def test_all_later_steps_read_the_quantizer() -> None:
    model = Block().eval()
    graph = trace(model)
    x = torch.randn(2, 1, 4, 4)
    inserted = insert_after(graph, quantized_tensors(graph), lambda node: nn.Identity())
    torch.testing.assert_close(graph(x), model(x))
    assert list(inserted)[:2] == ["x_quantizer", "relu_quantizer"]
    for node in graph.graph.nodes:
        if node.name in ("x", "relu", "conv2", "pool"):
            assert [user.target for user in node.users] == [f"{node.name}_quantizer"]
