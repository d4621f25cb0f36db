"""Small modules of the kinds the course uses, each exported once for all tests of this folder."""

from collections.abc import Callable
from dataclasses import dataclass

import onnx
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from course_lib.export.onnx_export import build_onnx
from course_lib.reproducibility import seeded_torch, torch_generator


class ConvNet(nn.Module):
    """Convolutions with and without bias, BatchNorm, depthwise, residual addition, flatten, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.depthwise = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8))
        nn.init.zeros_(self.depthwise[0].bias)  # an optimizer may think that a zero bias can go
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8 * 3 * 3, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = F.relu(x + self.depthwise(x))
        return self.head(self.drop(F.adaptive_avg_pool2d(x, 3).flatten(1)))


class TinyTransformer(nn.Module):
    """Patches, a class token, one attention block: linear layers on (B, T, D)."""

    def __init__(self, dim: int = 8, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.patches = nn.Conv2d(1, dim, 3, stride=3)
        self.token = nn.Parameter(torch.randn(1, 1, dim))
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(dim) for _ in range(3))
        self.qkv, self.projection = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, 2 * dim), nn.Linear(2 * dim, dim)
        self.head = nn.Linear(dim, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1)
        b, t, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        x = x + self.projection(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, t, d))
        x = x + self.down(F.gelu(self.up(self.norm2(x))))
        return self.head(self.norm3(x)[:, 0])


@dataclass(frozen=True)
class Exported:
    """A module and what it was exported to."""

    module: nn.Module
    content: bytes

    @property
    def graph(self) -> onnx.GraphProto:
        return onnx.load_from_string(self.content).graph


def with_batch_statistics(module: nn.Module) -> nn.Module:
    """Give BatchNorm the uneven statistics of a trained model, so that folding it would show."""
    generator = torch_generator(1)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(generator=generator)
            layer.running_var.uniform_(0.5, 2.0, generator=generator)
    return module


def export(build: Callable[[], nn.Module]) -> Exported:
    with seeded_torch(0):
        module = with_batch_statistics(build())
    content = build_onnx(module, torch.zeros(1, 1, 9, 9), input_names=("image",), output_names=("scores",))
    return Exported(module.eval(), content)


@pytest.fixture(scope="session")
def conv_net() -> Exported:
    return export(ConvNet)


@pytest.fixture(scope="session")
def transformer() -> Exported:
    return export(TinyTransformer)


@pytest.fixture(params=["conv_net", "transformer"])
def exported(request: pytest.FixtureRequest) -> Exported:
    return request.getfixturevalue(request.param)
