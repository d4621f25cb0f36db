"""The table of rules: names as torch spells them, and what has no rule."""

import operator

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from course_lib.pruning.structure.labels import FIXED, spread
from course_lib.pruning.structure.layer_rules import LAYER_RULES
from course_lib.pruning.structure.rules import ELEMENTWISE, RULES, fixed_like, unknown
from course_lib.pruning.structure.step import Ledger, Step, name_of


def relu(x: Tensor) -> Tensor:
    """Something else with a name that torch uses."""
    return x.flip(1)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (torch.add, "add"),
        (operator.iadd, "iadd"),
        (operator.getitem, "getitem"),
        (F.max_pool2d, "max_pool2d"),
        (torch.relu_, "relu"),
        (F.scaled_dot_product_attention, "scaled_dot_product_attention"),
        (getattr, "getattr"),
        (relu, ""),
    ],
)
def test_functions_are_known_by_name_and_origin(function: object, name: str) -> None:
    assert name_of(fx.Graph().call_function(function, ())) == name  # type: ignore[arg-type]


def test_methods_in_place_have_the_same_rule() -> None:
    graph = fx.Graph()
    x = graph.placeholder("x")
    assert name_of(graph.call_method("relu_", (x,))) == name_of(graph.call_method("relu", (x,))) == "relu"


def test_every_name_is_one_of_torch() -> None:
    places = (torch, F, Tensor, operator)
    others = {"getattr", "stochastic_depth", "to"}
    assert [name for name in RULES if not any(hasattr(place, name) for place in places)] == [
        name for name in RULES if name in others and not any(hasattr(place, name) for place in places)
    ]


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_functions_are_so(name: str) -> None:
    """Changing one channel changes no other one."""
    places = (torch, F, operator, Tensor)
    function = next((found for place in places if callable(found := getattr(place, name, None))), None)
    if function is None:
        assert name == "stochastic_depth"  # of torchvision: whole samples, and nothing in evaluation mode
        return
    x = torch.rand(2, 3, 4, 4, 4) + 0.5
    y = x.clone()
    y[:, 1] += 0.25
    arguments = dict.fromkeys(("clamp", "clip"), (0.6, 1.2)) | {
        **dict.fromkeys(("iadd", "imul", "isub", "itruediv", "pow"), (2.0,)),
        **dict.fromkeys(("add", "div", "mul", "multiply", "maximum", "minimum"), (x,)),
        **dict.fromkeys(("sub", "subtract", "true_divide", "truediv"), (x,)),
        "masked_fill": (x > 1, 0.0),
        "threshold": (0.7, 0.0),
        "to": (torch.float64,),
    }
    given = (0.5, False) if "dropout" in name else arguments.get(name, ())
    if name in ("dropout1d", "dropout2d"):
        x, y = (z[:, :, :, 0, 0] if name == "dropout1d" else z[..., 0] for z in (x, y))
    if name == "where":
        values = [torch.where(z > 0.7, z, -z) for z in (x, y)]
    else:
        values = [function(z.clone(), *given) for z in (x, y)]
    assert torch.equal(values[0][:, [0, 2]], values[1][:, [0, 2]])


def test_what_has_no_rule_needs_everything() -> None:
    graph = fx.Graph()
    node = graph.call_function(torch.roll, (graph.placeholder("x"), 1))
    labels = spread(torch.tensor([1, 2]), 1, (1, 2, 3))
    ledger = Ledger()
    ledger.book.fresh(2)
    step = Step(node, (labels, 1), {}, (torch.zeros(1, 2, 3), 5), ledger)
    result = unknown(step, "roll")
    assert result[0].unique().tolist() == [FIXED]
    assert result[1] == 5
    assert len(set(ledger.book.solve().tolist())) == 1
    assert ledger.book.ties[0].reason == "goes through roll, which is not known here"


def test_fixed_labels_keep_the_nesting() -> None:
    first, (second, number) = fixed_like((torch.zeros(2), [torch.zeros(3), 4]))
    assert (first.shape, second.shape, number) == ((2,), (3,), 4)
    assert fixed_like({"a": torch.ones(2)})["a"].tolist() == [FIXED, FIXED]
    assert [part.shape for part in fixed_like(torch.ones(2, 3).max(1))] == [(2,), (2,)]


@pytest.mark.parametrize("layer", [nn.MultiheadAttention, nn.LSTM, nn.LocalResponseNorm, nn.Embedding])
def test_layers_without_a_rule(layer: type[nn.Module]) -> None:
    assert layer not in LAYER_RULES
