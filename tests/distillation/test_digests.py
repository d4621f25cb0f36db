"""What a digest tells apart, and what leaves it as it is."""

import copy
import hashlib
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from course_lib.distillation.digests import array_digest, model_digest
from tests.distillation.small_nets import SmallNet, small_net


def test_a_digest_by_hand() -> None:
    values = np.array([[1.0, 2.0]], dtype=np.float32)
    expected = hashlib.sha256(b"float32 (1, 2)" + b"\x00\x00\x80\x3f\x00\x00\x00\x40").hexdigest()
    assert array_digest(values) == expected
    assert array_digest(values.T) != expected
    assert array_digest(values.view(np.int32)) != expected


def test_copies_modes_and_layouts_leave_the_digest(trained: SmallNet) -> None:
    digest = model_digest(trained)
    other = copy.deepcopy(trained).train().requires_grad_(False).to(memory_format=torch.channels_last)
    other.register_forward_hook(lambda *ignored: None)
    assert model_digest(other) == digest


class Scaled(nn.Module):
    """Scores of inputs that it shifts first, by whatever kind of constant."""

    def __init__(self, shift: object, persistent: bool | None = None) -> None:
        super().__init__()
        if persistent is None:
            self.shift = shift
        else:
            self.register_buffer("shift", torch.tensor(shift), persistent=persistent)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Scaled(0.0), Scaled(5.0)),
        (Scaled(1), Scaled(True)),
        (Scaled("zero"), Scaled("one")),
        (Scaled((0.0, 1.0)), Scaled((0.0, 2.0))),
        (Scaled([[0.0]]), Scaled([[1.0]])),
        (Scaled({"red": 0.0}), Scaled({"red": 1.0})),
        (Scaled(torch.tensor(0.0)), Scaled(torch.tensor(5.0))),
        (Scaled(torch.zeros(2)), Scaled(torch.zeros(2, 1))),
        (Scaled(np.zeros(2)), Scaled(np.ones(2))),
        (Scaled(torch.float32), Scaled(torch.float16)),
        (Scaled(0.0, persistent=False), Scaled(5.0, persistent=False)),
        (Scaled(0.0, persistent=True), Scaled(5.0, persistent=True)),
        (nn.Sequential(Scaled(0.0)), nn.Sequential(Scaled(5.0))),
        (nn.Sequential(nn.ReLU()), nn.Sequential(nn.LeakyReLU())),
        (nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)),
    ],
)
def test_what_is_computed_with_is_told_apart(first: nn.Module, second: nn.Module) -> None:
    assert model_digest(first) == model_digest(copy.deepcopy(first))
    assert model_digest(first) != model_digest(second)


@pytest.mark.filterwarnings("ignore")
def test_a_quantized_network_has_a_digest() -> None:
    def quantized(seed: int) -> nn.Module:
        return torch.ao.quantization.quantize_dynamic(small_net(seed), {nn.Linear})

    assert model_digest(quantized(0)) == model_digest(quantized(0))
    assert model_digest(quantized(0)) != model_digest(quantized(1))


@pytest.mark.parametrize(
    "value", [nn.ReLU, print, object(), lambda: 0], ids=["class", "function", "object", "lambda"]
)
def test_no_address_in_memory_gets_into_it(value: object | Callable[[], object]) -> None:
    assert model_digest(Scaled([value])) == model_digest(Scaled([copy.copy(value)]))
    kinds = {"type", "builtin_function_or_method", "object", "function"}
    assert type(value).__qualname__ in kinds


def test_it_is_the_same_in_another_process() -> None:
    code = (
        "import torch; from torch import nn; from course_lib.distillation.digests import model_digest\n"
        "net = nn.Sequential(nn.BatchNorm1d(4)); net.mean = {'a': (1, 2.5, None, torch.eye(2))}\n"
        "print(model_digest(net))"
    )
    answers = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert len(answers) == 1
