"""What every runtime offers, so that a measurement or an explorer works with any of them.

A runtime takes a model in its own form and gives back something that turns a batch into scores:

>>> runtime = get_runtime("onnxruntime")  # doctest: +SKIP
>>> loaded = runtime.load("model.onnx", threads=2)  # doctest: +SKIP
>>> scores = loaded.run(images)  # doctest: +SKIP
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from numpy.typing import NDArray

from course_lib.errors import SettingError

if TYPE_CHECKING:
    from torch import nn

Array: TypeAlias = NDArray[Any]
ModelSource: TypeAlias = "Path | str | bytes | nn.Module"
"""A model file, its content, or a PyTorch module; each runtime says which of them it takes."""


@runtime_checkable
class LoadedModel(Protocol):
    """A model that is ready to run; it may be called from several threads at once."""

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs."""

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs."""

    @property
    def input_shape(self) -> tuple[int | None, ...] | None:
        """Shape of the first input with None for an axis of any length, or None if none is declared."""

    @property
    def threads(self) -> int:
        """How many threads one call of `run` computes with."""

    def run(self, batch: Array) -> Array:
        """Return the outputs for one batch, the batch first in both.

        For models with one input and one output.

        Raises
        ------
        ModelError
            If the model does not take this shape or type, or has several inputs or outputs.
        """


@runtime_checkable
class Runtime(Protocol):
    """Something that loads models; its options are fields of the object, set when it is made."""

    @property
    def name(self) -> str:
        """The name under which `get_runtime` finds it."""

    def why_unavailable(self) -> str | None:
        """Return None if this runtime works here, and otherwise one sentence that says what is missing."""

    def load(self, source: ModelSource, *, threads: int = 1) -> LoadedModel:
        """Make a model ready to run.

        Raises
        ------
        ModelError
            If this runtime cannot take the model.
        SettingError
            If ``threads`` is below 1.
        MissingPackageError
            If the runtime is not installed.
        """


def check_threads(threads: int) -> None:
    """Refuse thread counts that would mean "as many as you like", which no measurement could repeat."""
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise SettingError(f"threads must be a whole number of at least 1, not {threads!r}; pass threads=1.")
