"""The same networks quantized by other libraries, from the same ONNX content and calibration images."""

import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

NDArray = npt.NDArray[np.float32]

BATCH = 64
HOW_TO_GET_NNCF = (
    'NNCF is not installed, so ONNX Runtime is the only peer; install it with: pip install -e ".[peers]"'
)


def with_onnxruntime(content: bytes, images: NDArray) -> bytes:
    """Return ONNX Runtime's own static quantization: QDQ, min-max ranges, a scale for each output channel.

    The model goes through ONNX Runtime's preprocessing first, as its documentation asks.
    """
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.batches = _batches(content, images)

        def get_next(self) -> dict[str, NDArray] | None:
            return next(self.batches, None)

    with tempfile.TemporaryDirectory() as folder:
        plain, prepared, quantized = (Path(folder, f"{name}.onnx") for name in ("plain", "prepared", "int8"))
        plain.write_bytes(content)
        quantization.quant_pre_process(str(plain), str(prepared))
        quantization.quantize_static(
            str(prepared),
            str(quantized),
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
        )
        return quantized.read_bytes()


def with_nncf(content: bytes, images: NDArray) -> bytes:
    """Return NNCF's post-training quantization with its defaults, except for scales of activations.

    For the inputs of depthwise layers its default is a scale for each channel, and ONNX Runtime refuses the
    file ("Scale and Zero-point must be a scalar"); so here each activation has one.
    """
    os.environ["NNCF_CI"] = "1"  # NNCF reports its use to a server unless this is set before the import
    import nncf
    from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, QuantizationParameters

    nncf.set_log_level(logging.ERROR)
    batches = list(_batches(content, images))
    one_scale = AdvancedQuantizationParameters(
        activations_quantization_params=QuantizationParameters(per_channel=False)
    )
    quantized = nncf.quantize(
        onnx.load_model_from_string(content),
        nncf.Dataset(batches),
        subset_size=len(batches),
        advanced_parameters=one_scale,
    )
    result: bytes = quantized.SerializeToString()
    return result


def peers() -> dict[str, Callable[[bytes, NDArray], bytes]]:
    """Return name → function of float ONNX content and images that returns int8 content."""
    found = {"onnxruntime": with_onnxruntime}
    if find_spec("nncf"):
        found["nncf"] = with_nncf
    return found


def _batches(content: bytes, images: NDArray) -> Iterator[dict[str, NDArray]]:
    name = onnx.load_model_from_string(content).graph.input[0].name
    return ({name: images[start : start + BATCH]} for start in range(0, len(images), BATCH))
