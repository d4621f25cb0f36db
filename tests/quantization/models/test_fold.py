import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from course_lib.quantization.models.fold import fold_batch_norms
from course_lib.quantization.models.graph import trace


def normed(layer: nn.Module, norm: nn.BatchNorm1d | nn.BatchNorm2d, seed: int = 0) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            if tensor is not None:
                tensor.copy_(torch.randn(tensor.shape, generator=generator))
        if norm.running_var is not None:
            norm.running_var.copy_(torch.rand(norm.running_var.shape, generator=generator) + 0.1)
    return nn.Sequential(layer, norm).eval()


def test_worked_value() -> None:
    layer, norm = nn.Linear(1, 1), nn.BatchNorm1d(1, eps=0.0).eval()
    for tensor, value in ((layer.weight, 2.0), (layer.bias, 1.0), (norm.weight, 3.0), (norm.bias, 4.0)):
        nn.init.constant_(tensor, value)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.fill_(5.0)
    norm.running_var.fill_(4.0)
    folded = fold_batch_norms(trace(nn.Sequential(layer, norm)))
    left = folded.get_submodule("0")
    assert [name for name, _ in folded.named_children()] == ["0"]
    assert isinstance(left, nn.Linear)
    assert left.weight.item() == 3.0
    assert left.bias.item() == -2.0
    assert folded(torch.ones(1, 1)).item() == 1.0


@given(st.integers(1, 3), st.sampled_from([1, 2]), st.booleans(), st.booleans(), st.integers(0, 1000))
def test_the_function_stays(kernel: int, groups: int, bias: bool, affine: bool, seed: int) -> None:
    conv = nn.Conv2d(2, 4, kernel, groups=groups, bias=bias)
    model = normed(conv, nn.BatchNorm2d(4, affine=affine), seed)
    x = torch.randn(2, 2, 5, 5)
    folded = fold_batch_norms(trace(model))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    torch.testing.assert_close(folded(x), model(x), rtol=1e-4, atol=1e-4)


def test_torch_folds_to_the_same_weights() -> None:
    model = normed(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5))
    theirs = fuse_conv_bn_eval(model[0], model[1])
    ours = fold_batch_norms(trace(model)).get_submodule("0")
    torch.testing.assert_close(ours.weight, theirs.weight)
    torch.testing.assert_close(ours.bias, theirs.bias)


class Shared(nn.Module):
    """A convolution whose result is read twice, one that is called twice, and a norm of the input."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.twice = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)
        self.norm0, self.norm1, self.norm2 = nn.BatchNorm2d(1), nn.BatchNorm2d(1), nn.BatchNorm2d(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(self.norm0(x))
        x = x + self.norm1(x)
        return self.norm2(self.twice(self.twice(x)))


@pytest.mark.parametrize("left", ["norm0", "norm1", "norm2"])
def test_norms_that_cannot_be_folded_stay(left: str) -> None:
    model = Shared().eval()
    folded = fold_batch_norms(trace(model))
    x = torch.randn(2, 1, 3, 3)
    assert isinstance(folded.get_submodule(left), nn.BatchNorm2d)
    torch.testing.assert_close(folded(x), model(x))
