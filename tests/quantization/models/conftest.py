import pytest
import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """A small network with every kind of step that quantizers care about; (N, 1, 8, 8) → (N, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.pointwise = nn.Conv2d(4, 4, 1)
        self.relu = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.relu(x + self.pointwise(self.relu(self.depthwise(x))))
        return self.classifier(self.pool(x).flatten(1))  # type: ignore[no-any-return]


@pytest.fixture
def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = Residual()
        model.train()
        model(torch.randn(64, 1, 8, 8))  # so that the batch norm has something to fold
    return model.eval()


@pytest.fixture
def images() -> Tensor:
    return torch.randn(48, 1, 8, 8, generator=torch.Generator().manual_seed(7))
