"""Operators written in Python with onnxscript: what looks like Python is read and becomes an ONNX function.

Nothing here runs as Python in the model. ``script`` translates the source of each function, once, into
standard operators; the file carries that function, so every runtime that knows ONNX functions runs it.
`custom_operators.use_function` puts one in a model.

A call of a function can also be tried at once, with arrays: ``HardSwish4(np.array([1.0], np.float32))``.
"""

from onnxscript import opset18 as op
from onnxscript import script
from onnxscript.values import Opset

EDGE = Opset("course.edge", 1)
"""The domain of our operators: a name of our own, so that none is taken for a standard one."""


@script(EDGE, default_opset=op)
def HardSwish4(x):  # type: ignore[no-untyped-def]
    """Return x · clip(x + 2, 0, 4) / 4: hard-swish with a steeper gate, whose division is exact.

    Hard-swish is x · clip(x + 3, 0, 6) / 6 (Howard et al., "Searching for MobileNetV3", 2019).
    """
    return x * op.Clip(x + 2.0, 0.0, 4.0) / 4.0


@script(EDGE, default_opset=op)
def FakeQuantize(x, scale: float = 0.1, quant_min: float = -128.0, quant_max: float = 127.0):  # type: ignore[no-untyped-def]
    """Return clip(round(x / scale), quant_min, quant_max) · scale: a symmetric grid, in floating point."""
    step = op.Constant(value_float=scale)
    lowest = op.Constant(value_float=quant_min)
    highest = op.Constant(value_float=quant_max)
    return op.Clip(op.Round(x / step), lowest, highest) * step
