"""Max pooling moved before the quantizer, where a float layer makes what is pooled.

ONNX Runtime has a quick max pooling for floats in its blocked layout and for bytes with channels last, and a
slow one for bytes with channels first, which is what it picks behind "float convolution → quantize". ReLU,
rounding to a grid and taking the maximum are all monotone, so their order does not change a bit of the
result:

    Conv → Relu → QuantizeLinear → DequantizeLinear → MaxPool
    Conv → MaxPool → Relu → QuantizeLinear → DequantizeLinear

The ReLU moves along because the runtime would pull a quantizer that stands right behind the pooling back
before it.
"""

import onnx


def pool_before_quantizing(model: onnx.ModelProto) -> None:
    """Rewrite, in place, each such chain whose convolution has a float weight; every link has one reader."""
    nodes = model.graph.node
    makers = {output: node for node in nodes for output in node.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for pool in [node for node in nodes if node.op_type == "MaxPool" and len(node.output) == 1]:
        chain = [pool]
        for kind in ("DequantizeLinear", "QuantizeLinear", "Relu", "Conv"):
            name = chain[-1].input[0]
            before = makers.get(name)
            if before is None or before.op_type != kind or len(readers[name]) > 1:
                break
            chain.append(before)
        else:
            _, dequantize, _, relu, conv = chain
            weight = makers.get(conv.input[1])
            if weight is not None and weight.op_type == "DequantizeLinear":
                continue
            end = pool.output[0]
            pool.input[0], relu.input[0] = conv.output[0], f"{conv.output[0]}_pooled"
            pool.output[0], dequantize.output[0] = relu.input[0], end
            nodes.remove(pool)
            nodes.insert(list(nodes).index(relu), pool)
