"""Convolution and batch normalization as one convolution.

In inference BatchNormalization is y = γ · (x − μ) / √(σ² + ε) + β with constants for each channel, and the
convolution before it is x = W ∗ input + b. Both are linear in the input, so together they are one
convolution (Jacob et al., 2018, section 3.2):

    W' = W · γ / √(σ² + ε)        b' = (b − μ) · γ / √(σ² + ε) + β

Worked example: W = 2, b = 1, γ = 3, β = 5, μ = 1, σ² + ε = 4. The factor is 3 / 2, so W' = 3 and
b' = (1 − 1) · 1.5 + 5 = 5; on input 4 both ways give 3 · 4 + 5 = 17.

The rewriter finds each place that looks like the pattern. Where the convolution's result is read by somebody
else too, it leaves both nodes as they are; `check` refuses what is not constant.

Left out: transposed convolutions and linear layers, and BatchNormalization before a convolution.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxscript import ir
from onnxscript.rewriter import MatchResult, RewriteRuleClassBase, RewriteRuleSet

from course_lib.export.onnx_source import OnnxSource
from course_lib.export.passes.graph_model import drop_unread_weights, is_constant, to_graph, to_proto

Floats = NDArray[np.float64]


def fold_batch_norm(source: OnnxSource) -> onnx.ModelProto:
    """Return a new model in which each BatchNormalization behind a convolution is part of it.

    Raises
    ------
    ModelError
        If it is not an ONNX model, or its graph is inconsistent.
    """
    model = to_graph(source)
    rule = ConvBatchNorm.rule()  # type: ignore[no-untyped-call]
    RewriteRuleSet([rule]).apply_to_model(model)
    drop_unread_weights(model.graph)
    return to_proto(model)


class ConvBatchNorm(RewriteRuleClassBase):
    """BatchNormalization(Conv(x)) → Conv(x)."""

    def pattern(self, op, x):  # type: ignore[no-untyped-def]
        """Return what to look for."""
        convolved = op.Conv(x, _allow_other_inputs=True, _outputs=["convolved"])
        return op.BatchNormalization(convolved, _allow_other_inputs=True, _outputs=["normalized"])

    def check(self, context, x: ir.Value, convolved: ir.Value, normalized: ir.Value) -> MatchResult:  # type: ignore[no-untyped-def]
        """Refuse a match whose parameters are not known yet."""
        conv, norm = _maker(convolved), _maker(normalized)
        parameters = [*conv.inputs[1:], *norm.inputs[1:]]
        training = norm.attributes.get("training_mode")
        if training is not None and training.as_int():
            return MatchResult().fail("it normalizes with the statistics of the batch")
        if not all(is_constant(value) for value in parameters if value is not None):
            return MatchResult().fail("a parameter is computed, or passed by the caller")
        return MatchResult()

    def rewrite(self, op, x: ir.Value, convolved: ir.Value, normalized: ir.Value):  # type: ignore[no-untyped-def]
        """Return what stands there instead."""
        conv, norm = _maker(convolved), _maker(normalized)
        gamma, beta, mean, variance = (_floats(value) for value in norm.inputs[1:])
        epsilon = norm.attributes["epsilon"].as_float() if "epsilon" in norm.attributes else 1e-5
        weight = _floats(conv.inputs[1])
        bias = (
            _floats(conv.inputs[2])
            if len(conv.inputs) > 2 and conv.inputs[2] is not None
            else np.zeros_like(mean)
        )
        factor = gamma / np.sqrt(variance + epsilon)
        new_weight = weight * factor.reshape(-1, *[1] * (weight.ndim - 1))
        new_bias = (bias - mean) * factor + beta
        stored = conv.inputs[1].const_value.dtype.numpy()  # type: ignore[union-attr]
        return op.Conv(
            x,
            op.initializer(ir.tensor(new_weight.astype(stored)), name=f"{normalized.name}.folded_weight"),
            op.initializer(ir.tensor(new_bias.astype(stored)), name=f"{normalized.name}.folded_bias"),
            **conv.attributes,
        )


def _maker(value: ir.Value) -> ir.Node:
    node = value.producer()
    assert node is not None  # the pattern matched a node there
    return node


def _floats(value: ir.Value | None) -> Floats:
    assert value is not None  # see `check`
    assert value.const_value is not None
    return value.const_value.numpy().astype(np.float64)
