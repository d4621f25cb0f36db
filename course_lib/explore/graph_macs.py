"""Multiply-accumulates of the steps of an ONNX graph, for one image, from the shapes that ONNX infers.

Every value of a weight is multiplied once at each place where the layer is applied: at each pixel of a
convolution's output, at each token of a linear layer. So MACs = size of the weight × places, which holds for
grouped and depthwise convolutions too. 1 MAC = 2 FLOPs. `course_lib.benchmarking.macs` counts the same of a
PyTorch module by running it; this needs neither torch nor a run.
"""

import math
from collections.abc import Callable

import onnx


def macs_by_step(model: onnx.ModelProto) -> Callable[[onnx.NodeProto, int], int | None]:
    """Return a function that counts: step, size of its weight → MACs for one image, None if unknown.

    Unknown are steps whose shapes are not in the graph, or only known when it runs. The first axis of every
    value is taken for the batch.
    """
    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info, *graph.output)
    }

    def macs(step: onnx.NodeProto, weight_size: int) -> int | None:
        # A transposed convolution applies its weight at each pixel that it reads.
        where = step.input[0] if step.op_type == "ConvTranspose" else step.output[0]
        shape = shapes.get(where, [])
        places = shape[1:-1] if step.op_type in ("Gemm", "MatMul") else shape[2:]
        # An axis that is only known at run time has length 0 here.
        return weight_size * math.prod(places) if shape and all(places) else None

    return macs
