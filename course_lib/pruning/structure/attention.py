"""nn.MultiheadAttention as steps of its own, so that its heads can be seen and removed (Vaswani et al. 2017).

The layer of torch holds the weights of query, key and value in one matrix and does everything inside. Here
each is a linear layer, and between them is the mathematics, one line each:

    heads = softmax(Q·Kᵀ/√d)·V for each of H heads of d numbers, output = concatenation of heads · W_outᵀ

Worked example: embed_dim 8 and 2 heads give four linear layers of 8×8; rows 0 to 3 of query, key and value
and columns 0 to 3 of the output belong to head 0.

Left out: masks, extra key and value vectors (``add_bias_kv``, ``add_zero_attn``), and the attention weights
as a second result. A layer that is called with one of them stays as it is, and its channels are not removed.
"""

import operator

from torch import Tensor, fx, nn
from torch.nn import functional as F

from course_lib.architectures.tracing import layer_of, symbolic_trace


class SplitAttention(nn.Module):
    """The same as a `torch.nn.MultiheadAttention`, with its weights copied into four linear layers.

    Parameters
    ----------
    layer
        With ``batch_first``, queries are (N, T, D), else (T, N, D); keys and values (N, S, ·) or (S, N, ·).
    """

    def __init__(self, layer: nn.MultiheadAttention) -> None:
        super().__init__()
        self.heads, self.head_dim = layer.num_heads, layer.head_dim
        self.batch_first = layer.batch_first
        if layer.in_proj_weight is not None:
            weights = layer.in_proj_weight.chunk(3)
        else:
            weights = (layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight)
        biases = (None,) * 3 if layer.in_proj_bias is None else layer.in_proj_bias.chunk(3)
        self.query, self.key, self.value = (
            _linear(weight, bias) for weight, bias in zip(weights, biases, strict=True)
        )
        self.out = _linear(layer.out_proj.weight, layer.out_proj.bias)
        self.train(layer.training)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        if not self.batch_first:
            query, key, value = query.transpose(0, 1), key.transpose(0, 1), value.transpose(0, 1)
        mixed = F.scaled_dot_product_attention(
            self._split(self.query(query)), self._split(self.key(key)), self._split(self.value(value))
        )
        output: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return output if self.batch_first else output.transpose(0, 1)

    def _split(self, x: Tensor) -> Tensor:
        """Return (N, T, heads · d) as (N, heads, T, d)."""
        return x.reshape(x.shape[0], x.shape[1], self.heads, self.head_dim).transpose(1, 2)


def split_attention(graph: fx.GraphModule) -> None:
    """Replace each `torch.nn.MultiheadAttention` that can be split by the steps of a `SplitAttention`."""
    called: dict[str, list[fx.Node]] = {}
    for node in graph.graph.nodes:
        if type(layer_of(node)) is nn.MultiheadAttention:
            called.setdefault(str(node.target), []).append(node)
    for path, nodes in called.items():
        layer = graph.get_submodule(path)
        assert isinstance(layer, nn.MultiheadAttention)
        if not all(_is_plain(node, layer) for node in nodes):
            continue
        split = SplitAttention(layer)
        _put_submodule(graph, path, split)
        for node in nodes:
            _inline(node, path, symbolic_trace(split).graph)
    if called:
        graph.graph.lint()
        graph.recompile()


def _inline(node: fx.Node, path: str, steps: fx.Graph) -> None:
    """Put the steps in the place of a call and of the ``[0]`` that follows it."""
    given = dict(zip(("query", "key", "value"), node.args, strict=False)) | dict(node.kwargs)
    mapped: dict[fx.Node, fx.Node] = {}
    with node.graph.inserting_before(node):
        for step in steps.nodes:
            if step.op == "placeholder":
                source = given[str(step.target)]
                assert isinstance(source, fx.Node)
                mapped[step] = source
            elif step.op == "output":
                (result,) = (mapped[argument] for argument in step.all_input_nodes)
            else:
                mapped[step] = node.graph.node_copy(step, mapped.__getitem__)
                if step.op == "call_module":
                    mapped[step].target = f"{path}.{step.target}"
    for user in list(node.users):
        user.replace_all_uses_with(result)
        node.graph.erase_node(user)
    node.graph.erase_node(node)


def _is_plain(node: fx.Node, layer: nn.MultiheadAttention) -> bool:
    """Return whether a call has three batches of sequences, no masks, and only its first result is used."""
    given = dict(zip(("query", "key", "value"), node.args, strict=False)) | dict(node.kwargs)
    settings = {"need_weights", "average_attn_weights"}
    plain_call = len(node.args) <= 3 and all(
        name in ("query", "key", "value") or name in settings or not value for name, value in given.items()
    )
    first_only = all(user.target is operator.getitem and user.args[1] == 0 for user in node.users)
    return plain_call and first_only and layer.bias_k is None and not layer.add_zero_attn


def _put_submodule(graph: fx.GraphModule, path: str, module: nn.Module) -> None:
    owner, _, name = path.rpartition(".")
    setattr(graph.get_submodule(owner), name, module)


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.detach(), requires_grad=weight.requires_grad)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach(), requires_grad=bias.requires_grad)
    return layer
