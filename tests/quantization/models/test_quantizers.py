import math

import pytest
import torch

from course_lib.errors import ModelError
from course_lib.quantization import PerTensor, choose_qparams, fake_quantize
from course_lib.quantization.models.config import ActivationScheme
from course_lib.quantization.models.quantizers import ActivationObserver, ActivationQuantizer


def test_an_observer_lets_values_pass_and_keeps_their_range() -> None:
    observer = ActivationObserver("stem", ActivationScheme(observer="minmax"))
    x = torch.tensor([-1.0, 3.0])
    assert observer(x) is x
    observer(x * 2)
    assert observer.observer.range() == (-2.0, 6.0)


def test_a_quantizer_is_fake_quantize_with_its_grid_kept_as_buffers() -> None:
    x = torch.randn(50)
    qparams = choose_qparams(x, 5, symmetric=False, granularity=PerTensor())
    quantizer = ActivationQuantizer(qparams)
    assert torch.equal(quantizer(x), fake_quantize(x, qparams))
    assert quantizer.qparams.bits == 5
    other = ActivationQuantizer(choose_qparams(x * 7, 5, symmetric=False, granularity=PerTensor()))
    other.load_state_dict(quantizer.state_dict())
    assert torch.equal(other(x), quantizer(x))


def test_nan_activations_are_counted_and_placed() -> None:
    observer = ActivationObserver("blocks_0_relu", ActivationScheme())
    with pytest.raises(
        ModelError, match=r"^2 of the 3 activations behind blocks_0_relu are NaN or infinite; check the"
    ):
        observer(torch.tensor([math.nan, 1.0, math.inf]))
