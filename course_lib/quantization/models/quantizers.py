"""The modules that stand between the steps of a quantized model."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn

from course_lib.errors import ModelError
from course_lib.quantization.affine import QParams, fake_quantize
from course_lib.quantization.calibration.mse import MSEObserver
from course_lib.quantization.calibration.observers import OBSERVERS
from course_lib.quantization.models.config import ActivationScheme


class ActivationObserver(nn.Module):
    """Lets activations pass unchanged and keeps track of their range.

    Parameters
    ----------
    name
        The step whose result is observed, for messages.
    scheme
        Decides the kind of observer.
    """

    def __init__(self, name: str, scheme: ActivationScheme) -> None:
        super().__init__()
        self.name = name
        self.observer = OBSERVERS[scheme.observer](scheme.bits, scheme.symmetric)
        self.by_gradient = scheme.by_gradient

    def forward(self, x: Tensor) -> Tensor:
        bad = int((~torch.isfinite(x)).sum())
        if bad:
            raise ModelError(
                f"{bad} of the {x.numel()} activations behind {self.name} are NaN or infinite; check the "
                "calibration inputs and the weights, and call calibrate again."
            )
        if not self.by_gradient:
            self.observer.observe(x.detach().numpy())
        elif x.requires_grad:
            x.register_hook(partial(self._weigh, x.detach()))  # type: ignore[no-untyped-call]
        return x

    def _weigh(self, x: Tensor, gradient: Tensor) -> None:
        assert isinstance(self.observer, MSEObserver)  # the scheme sees to that
        weights = gradient.square()
        # Also what no score depends on has a range.
        self.observer.observe(x.numpy(), (weights if weights.any() else torch.ones_like(x)).numpy())


class ActivationQuantizer(nn.Module):
    """Rounds activations to a fixed grid: `fake_quantize`, so no gradient passes.

    Parameters
    ----------
    qparams
        A grid with one scale; moved along with the model as buffers.
    """

    def __init__(self, qparams: QParams[Tensor]) -> None:
        super().__init__()
        self.quant_min, self.quant_max = qparams.quant_min, qparams.quant_max
        self.scale: Tensor
        self.zero_point: Tensor
        self.register_buffer("scale", qparams.scale.reshape(()))
        self.register_buffer("zero_point", qparams.zero_point.reshape(()))

    @property
    def qparams(self) -> QParams[Tensor]:
        """The grid."""
        return QParams(self.scale, self.zero_point, self.quant_min, self.quant_max)

    def forward(self, x: Tensor) -> Tensor:
        return fake_quantize(x, self.qparams)

    def extra_repr(self) -> str:
        return f"scale={float(self.scale):.4g}, zero_point={int(self.zero_point)}, bits={self.qparams.bits}"


class QuantizedModel(nn.Module):
    """A model whose weights lie on grids and whose activations are rounded on the way: what will be deployed,
    computed in floating point.

    Parameters
    ----------
    graph
        The model's steps; batch norms are folded, quantizers inserted, the weights of quantized layers equal
        S · (q − Z).
    weight_qparams
        Path of a layer → the grid of its weight.

    Notes
    -----
    `export_qdq` writes it as an ONNX file with integer weights.
    """

    def __init__(self, graph: fx.GraphModule, weight_qparams: dict[str, QParams[Tensor]]) -> None:
        super().__init__()
        self.graph = graph
        self.weight_qparams = weight_qparams

    @property
    def activation_qparams(self) -> dict[str, QParams[Tensor]]:
        """Path of each activation quantizer → its grid."""
        found = self.graph.named_modules()
        return {path: module.qparams for path, module in found if isinstance(module, ActivationQuantizer)}

    def forward(self, *inputs: Any) -> Any:
        return self.graph(*inputs)
