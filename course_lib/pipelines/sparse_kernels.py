"""One matrix product W·x, computed in all the ways in which zeros in W might be used.

====================  ======================================================================================
dense, PyTorch        PyTorch's dense kernel on the weights before pruning
dense, ONNX Runtime   ONNX Runtime's, which lays the weights out for this CPU beforehand
zeros, PyTorch        the same dense kernels on the pruned weights
zeros, ONNX Runtime
CSR, SciPy            values and column numbers, row by row; a plain loop
CSR, MKL              the same format in PyTorch, computed by Intel's library where that is built in
blocks 4×4, MKL       whole 4×4 blocks pruned and stored (BSR), in PyTorch
blocks 16×16, SciPy   whole 16×16 blocks, in SciPy
2:4, PyTorch          two of each four weights zero, in the dense kernel: a CPU has no instruction for it
====================  ======================================================================================

The smallest weights are pruned, or the blocks of the smallest norm. Every way computes the same product of
its pruned matrix, to the rounding of sums.
"""

import warnings
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from scipy.sparse import bsr_array, csr_array
from torch import Tensor

from course_lib.errors import SettingError
from course_lib.pruning import apply_mask, magnitude_mask, n_m_mask
from course_lib.runtimes import get_runtime

Product: TypeAlias = Callable[[], object]

DENSE = ("dense, PyTorch", "dense, ONNX Runtime")
"""Dense kernels on dense weights; the faster one is what the others are compared with."""
TWO_FOUR = "2:4, PyTorch"
ZEROS = ("zeros, PyTorch", "zeros, ONNX Runtime")
"""Dense kernels on pruned weights."""
FORMATS = ("CSR, SciPy", "CSR, MKL", "blocks 4×4, MKL", "blocks 16×16, SciPy")
"""Sparse formats, which store and multiply only what is left."""
LARGEST_BLOCK = 16


def block_mask(weight: Tensor, sparsity: float, block: int) -> Tensor:
    """Return the mask that prunes the square blocks of the smallest norm, boolean, True = keep.

    Parameters
    ----------
    weight
        A matrix whose sides the block's side divides.
    sparsity
        Fraction of the blocks to prune, in [0, 1).

    Raises
    ------
    SettingError
        If the block does not divide the sides, or the sparsity is out of range.
    """
    rows, columns = weight.shape
    if rows % block or columns % block:
        raise SettingError(
            f"Blocks of {block}×{block} do not tile a matrix of {rows}×{columns}; pass sizes that {block} "
            "divides."
        )
    norms = weight.reshape(rows // block, block, columns // block, block).square().sum(dim=(1, 3)).sqrt()
    return magnitude_mask(norms, sparsity).repeat_interleave(block, 0).repeat_interleave(block, 1)


def products(weight: Tensor, x: Tensor, sparsity: float) -> dict[str, tuple[Tensor, Product]]:
    """Return name → (the pruned matrix, a callable that multiplies it with x), in the order of the table.

    Parameters
    ----------
    weight
        (m, n) float32; 16 must divide both.
    x
        (n, columns) float32.
    sparsity
        Of all but the dense ones (0) and 2:4 (one half), in [0, 1).
    """
    single = apply_mask(weight, magnitude_mask(weight, sparsity))
    small = apply_mask(weight, block_mask(weight, sparsity, 4))
    large = apply_mask(weight, block_mask(weight, sparsity, LARGEST_BLOCK))
    halved = apply_mask(weight, n_m_mask(weight, 2, 4))
    columns, runtime = x.numpy(), get_runtime("onnxruntime")
    dense_run, zeros_run = (runtime.load(_product_graph(each, x)).run for each in (weight, single))
    scipy_csr = csr_array(single.numpy())
    scipy_bsr = bsr_array(large.numpy(), blocksize=(LARGEST_BLOCK, LARGEST_BLOCK))
    with warnings.catch_warnings():
        # PyTorch says of its sparse formats that they are in beta.
        warnings.simplefilter("ignore")
        torch_csr, torch_bsr = single.to_sparse_csr(), small.to_sparse_bsr((4, 4))
    return {
        DENSE[0]: (weight, lambda: weight @ x),
        DENSE[1]: (weight, lambda: dense_run(columns)),
        ZEROS[0]: (single, lambda: single @ x),
        ZEROS[1]: (single, lambda: zeros_run(columns)),
        "CSR, SciPy": (single, lambda: scipy_csr @ columns),
        "CSR, MKL": (single, lambda: torch_csr @ x),
        "blocks 4×4, MKL": (small, lambda: torch_bsr @ x),
        "blocks 16×16, SciPy": (large, lambda: scipy_bsr @ columns),
        TWO_FOUR: (halved, lambda: halved @ x),
    }


def _product_graph(weight: Tensor, x: Tensor) -> bytes:
    """Return the ONNX content of y = weight · x."""
    shapes = {"x": list(x.shape), "y": [len(weight), x.shape[1]]}
    values = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()
    }
    stored = numpy_helper.from_array(np.ascontiguousarray(weight.numpy()), "weight")
    node = helper.make_node("MatMul", ["weight", "x"], ["y"])
    graph = helper.make_graph([node], "product", [values["x"]], [values["y"]], [stored])
    opset = [helper.make_opsetid("", 18)]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=opset, ir_version=10)
    content: bytes = model.SerializeToString()
    return content
