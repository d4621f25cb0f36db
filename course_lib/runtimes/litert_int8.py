"""A float32 ``.tflite`` file with smaller numbers in it: float16 weights, or integers throughout.

Full-integer quantization needs to know the range of every activation, so a *representative data set* is run
through the float model once and the minimum and maximum of each tensor are noted (min-max calibration).
Weights get one scale a channel and zero point 0, activations one scale and zero point a tensor: the scheme
of Jacob et al. (2018), with biases in int32. The quantizer is Google's ``ai-edge-quantizer``;
course_lib.quantization shows the same steps in the open.

Worked example: a residual network of 709 kB becomes 378 kB with float16 weights and 216 kB with integers.
"""

from typing import Any

from course_lib.runtimes.calibration_batches import batches_of
from course_lib.runtimes.protocol import Array

SIGNATURE_NAME, INPUT_NAME = "serving_default", "args_0"  # what litert_torch calls them
BITS = 8


def half_weights(content: bytes) -> bytes:
    """Return the file with the weights of convolutions and linear layers stored as float16.

    A step of its own turns them back into float32 before they are used; XNNPACK does that once, while
    loading.
    """
    from ai_edge_quantizer import algorithm_manager, qtyping, recipe_manager

    recipe = recipe_manager.RecipeManager()
    recipe.add_weight_only_config(
        regex=".*",
        operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
        num_bits=16,
        algorithm_key=algorithm_manager.AlgorithmName.FLOAT_CASTING,
    )
    return _apply(content, recipe, None)


def quantize_static(content: bytes, calibration: Array, *, float_inputs: bool = True) -> bytes:
    """Return the file with 8-bit weights and activations.

    Parameters
    ----------
    calibration
        (M, …), float32: the representative data set.
    float_inputs
        Whether the file takes and returns float32; otherwise int8, as microcontrollers want it.
    """
    from ai_edge_quantizer import qtyping, recipe_manager

    recipe = recipe_manager.RecipeManager()
    recipe.add_static_config(
        regex=".*",
        operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
        activation_num_bits=BITS,
        weight_num_bits=BITS,
    )
    if float_inputs:
        for end in (qtyping.TFLOperationName.INPUT, qtyping.TFLOperationName.OUTPUT):
            recipe.add_quantization_config(".*", end, algorithm_key="no_quantize")
    return _apply(content, recipe, calibration)


def _apply(content: bytes, recipe: Any, calibration: Array | None) -> bytes:
    from ai_edge_quantizer import calibrator, quantizer
    from ai_edge_quantizer.utils.qsv_utils import min_max_update

    worker = quantizer.Quantizer(bytearray(content), recipe.get_quantization_recipe())
    ranges = None
    if calibration is not None:
        batches = batches_of(calibration, _batch_size(content))
        samples = [{INPUT_NAME: batch} for batch in batches]
        # The default is a moving average of extremes, which cuts off the larger ones.
        watcher = calibrator.Calibrator(bytearray(content), num_threads=1, qsv_update_func=min_max_update)
        watcher.calibrate({SIGNATURE_NAME: samples}, recipe)
        ranges = watcher.get_model_qsvs()
    result = worker.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    return bytes(result.quantized_model)


def _batch_size(content: bytes) -> int:
    from ai_edge_litert.interpreter import Interpreter

    return int(Interpreter(model_content=content).get_input_details()[0]["shape"][0])
