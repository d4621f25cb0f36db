"""How many bytes does a model take on disk?"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from course_lib.benchmarking.machine import record_machine
from course_lib.benchmarking.number_text import format_bytes
from course_lib.benchmarking.table import MeasuredResult, Row
from course_lib.errors import MeasurementError

if TYPE_CHECKING:
    from onnx import FunctionProto, GraphProto, TensorProto


@dataclass(frozen=True, kw_only=True)
class SizeResult(MeasuredResult):
    """The bytes of every file that belongs to a path.

    ``files_bytes`` maps each file, named relative to the path's folder, to its length.
    """

    name: str
    files_bytes: dict[str, int]
    derived: ClassVar[tuple[str, ...]] = ("size_bytes",)

    @property
    def size_bytes(self) -> int:
        """The length of all files together; what a file system rounds up to whole blocks is left out."""
        return sum(self.files_bytes.values())

    def table_row(self) -> Row:
        return {
            "measured": self.name,
            "size": format_bytes(self.size_bytes),
            "size_bytes": str(self.size_bytes),
            "files": str(len(self.files_bytes)),
        }


def measure_size(path: Path | str) -> SizeResult:
    """Return the size of a file, of a folder with all it holds, or of an ONNX model with its external data.

    Raises
    ------
    MeasurementError
        If the path does not exist, an ``.onnx`` file cannot be read, or a file with its external data is
        missing or lies outside the model's folder.
    """
    path = Path(path)
    if path.is_dir():
        base, files = path, sorted(entry for entry in path.rglob("*") if entry.is_file())
    elif path.is_file():
        base, files = path.parent, [path, *(_external_files(path) if path.suffix == ".onnx" else ())]
    else:
        raise MeasurementError(f"There is nothing at {path}: pass the path of a file or folder that exists.")
    return SizeResult(
        machine=record_machine(),
        name=path.name,
        files_bytes={file.relative_to(base).as_posix(): file.stat().st_size for file in files},
    )


def _external_files(model_path: Path) -> list[Path]:
    import onnx
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data

    try:
        model = onnx.load(model_path, load_external_data=False)
    except Exception as error:  # onnx and protobuf raise several kinds for a damaged file
        raise MeasurementError(
            f"{model_path.name} ends in .onnx but cannot be read as an ONNX model: export it again."
        ) from error
    graphs = [model.graph, *model.functions]
    tensors = [tensor for graph in graphs for tensor in _tensors(graph) if uses_external_data(tensor)]
    folder = model_path.parent.resolve()
    found = []
    for location in sorted({ExternalDataInfo(tensor).location for tensor in tensors}):
        file = (folder / location).resolve()
        if not file.is_relative_to(folder) or not file.is_file():
            raise MeasurementError(
                f"{model_path.name} keeps weights in {location!r}, which is not a file beside it: "
                f"copy that file into the model's folder."
            )
        found.append(model_path.parent / file.relative_to(folder))
    return found


def _tensors(graph: "GraphProto | FunctionProto") -> Iterator["TensorProto"]:
    """Yield every tensor of a graph: initializers, tensor attributes, and those of nested graphs."""
    yield from getattr(graph, "initializer", ())
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for nested in (attribute.g, *attribute.graphs):
                yield from _tensors(nested)
