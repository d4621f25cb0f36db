"""What the quantizer explorer can pick from: each entry loads its tensors and says how in code."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from course_lib.architectures import list_zoo
from course_lib.explore.tensors import DISTRIBUTIONS, RowTensor, distribution, from_array, layer_tensors
from course_lib.registry import look_up

LAYERS_OF = "layers of "


@dataclass(frozen=True)
class TensorSource:
    """One entry of the list of tensors.

    Parameters
    ----------
    load
        Returns the tensors by layer; a single one has the layer "".
    function, argument
        The function of `course_lib.explore.tensors` that does the same, and its argument as Python: a name
        where only the student's notebook has it.
    slow
        Whether loading may take seconds, as an export does.
    """

    load: Callable[[], dict[str, RowTensor]]
    function: str
    argument: str
    slow: bool = False

    def code(self, layer: str) -> str:
        """Return Python that makes the tensor of this layer."""
        picked = f"[{layer!r}]" if layer else ""
        return f"{self.function}({self.argument}){picked}"


def offered(tensor: Any) -> tuple[str, dict[str, TensorSource]]:
    """Return the name of the entry for ``tensor``, and all entries: the student's own first.

    Parameters
    ----------
    tensor
        A distribution, a name of the zoo, the path of an ``.onnx`` file, a PyTorch module, or an array.

    Raises
    ------
    UnknownNameError
        If a name is neither a distribution nor in the zoo; the message lists both.
    DataError
        If an array is empty, or its values are not finite numbers.
    """
    sources = {name: _distribution(name) for name in DISTRIBUTIONS}
    sources |= {LAYERS_OF + name: _layers(name, repr(name)) for name in list_zoo()}
    if isinstance(tensor, str) and not tensor.endswith(".onnx"):
        look_up(dict.fromkeys([*DISTRIBUTIONS, *list_zoo()]), "tensor", tensor)
        return (tensor if tensor in DISTRIBUTIONS else LAYERS_OF + tensor), sources
    if isinstance(tensor, str | PathLike):
        name, own = f"{LAYERS_OF}{Path(tensor).name} (yours)", _layers(tensor, repr(str(tensor)))
    elif hasattr(tensor, "named_modules"):
        name, own = f"{LAYERS_OF}{type(tensor).__name__} (yours)", _layers(tensor, "model")
    else:
        array = from_array(tensor)
        name, own = array.name, TensorSource(lambda: {"": array}, "from_array", "tensor")
    return name, {name: own, **sources}


def _distribution(name: str) -> TensorSource:
    return TensorSource(lambda: {"": distribution(name)}, "distribution", repr(name))


def _layers(source: Any, argument: str) -> TensorSource:
    return TensorSource(partial(layer_tensors, source), "layer_tensors", argument, slow=True)
