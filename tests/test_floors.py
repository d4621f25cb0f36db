"""A module imports only from the floors below its own, or from its own folder; the imports are only read."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

FLOORS = {
    0: ["course_lib"],
    1: ["data", "architectures", "training", "benchmarking"],
    2: ["quantization", "pruning", "distillation", "lowrank", "nas"],
    3: ["export", "runtimes"],
    4: ["pipelines", "explore", "edge"],
    5: ["widgets"],
}
"""DESIGN.md's floors; the modules that lie directly in course_lib are one folder, the ground floor."""

FLOOR_OF = {folder: floor for floor, folders in FLOORS.items() for folder in folders}

NEEDS_FLOOR = {
    **dict.fromkeys(
        (
            *("onnxruntime", "openvino", "tensorrt", "tensorrt_rtx_bindings", "executorch"),
            *("ai_edge_litert", "litert_torch", "coremltools"),
        ),
        3,
    ),
    **dict.fromkeys(("ipywidgets", "anywidget"), 5),
}
"""The lowest floor that may import a package: what is searched and scored needs no runtime, and only the view
holds widgets."""

BESIDE = {"autograder", "benchmarks", "tests"}
"""Packages that use the library; the library never uses them."""


def folder_of(module: str) -> str:
    """Return the folder of a module: course_lib.data.load → data, course_lib.errors → course_lib."""
    room = module.split(".")[1] if "." in module else ""
    return room if room in FLOOR_OF else "course_lib"


def imported_modules(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """Yield (line, absolute module) of every import anywhere in the source, under TYPE_CHECKING too."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = package.rsplit(".", level - 1)[0] if level else ""
                origin = ".".join(filter(None, [base, module]))
                # `from course_lib import data` imports the module course_lib.data; what is imported from
                # deeper down lies in the same folder whether it is a module or not.
                whole = [f"{origin}.{alias.name}" for alias in names] if origin == "course_lib" else [origin]
                yield from ((node.lineno, name) for name in whole)
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name


def violations(source: str, module: str, is_package: bool = False) -> list[str]:
    """Return one sentence for each import in the source of ``module`` that breaks the rule."""
    folder = folder_of(module)
    floor = FLOOR_OF[folder]
    package = module if is_package else module.rpartition(".")[0]
    found = []
    for line, name in imported_modules(ast.parse(source), package):
        top = name.split(".")[0]
        place = f"{module}, line {line} (floor {floor})"
        if top in BESIDE:
            found.append(f"{place} imports {name}, which stands outside the library")
        elif floor < NEEDS_FLOOR.get(top, 0):
            found.append(f"{place} imports {name}, which is for floor {NEEDS_FLOOR[top]} and above")
        elif top == "course_lib" and folder_of(name) != folder and FLOOR_OF[folder_of(name)] >= floor:
            found.append(
                f"{place} imports {name} from floor {FLOOR_OF[folder_of(name)]}, which is not below it"
            )
    return found


def library_modules() -> dict[str, Path]:
    """Return the dotted name → file of every module of the library."""
    files = sorted((ROOT / "course_lib").rglob("*.py"))
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in files
    }


def test_every_folder_has_a_floor() -> None:
    folders = {path.parent.relative_to(ROOT / "course_lib").parts for path in library_modules().values()}
    assert {parts[0] for parts in folders if parts} <= set(FLOOR_OF)


@pytest.mark.parametrize("module", library_modules())
def test_module_imports_only_from_below(module: str) -> None:
    path = library_modules()[module]
    found = violations(path.read_text(encoding="utf-8"), module, is_package=path.name == "__init__.py")
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("module", "source", "complaint"),
    [
        ("course_lib.data.load", "from course_lib.explore.engine import run", "from floor 4"),
        ("course_lib.data.load", "import course_lib.training.loop as loop", "from floor 1"),
        ("course_lib.data.load", "from course_lib import pruning", "course_lib.pruning from floor 2"),
        ("course_lib.data.load", "from ..widgets import explorer", "course_lib.widgets from floor 5"),
        ("course_lib.registry", "from course_lib.data import load", "from floor 1"),
        ("course_lib.runtimes.ort", "def f():\n    from course_lib.export import onnx_file", "line 2"),
        (
            "course_lib.quantization.ptq",
            "import typing\nif typing.TYPE_CHECKING:\n    from course_lib.runtimes import Runtime",
            "course_lib.runtimes from floor 3",
        ),
        (
            "course_lib.data.load",
            "import importlib\nimportlib.import_module('course_lib.nas.search')",
            "floor 2",
        ),
        ("course_lib.explore.engine", "import ipywidgets", "for floor 5 and above"),
        ("course_lib.pruning.masks", "import onnxruntime.capi", "for floor 3 and above"),
        ("course_lib.widgets.view", "from tests.offline import main", "outside the library"),
    ],
)
def test_a_breach_is_noticed(module: str, source: str, complaint: str) -> None:
    (found,) = violations(source, module)
    assert complaint in found
    assert found.startswith(module)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("course_lib.registry", "from course_lib.errors import UnknownNameError"),
        (
            "course_lib.data.load",
            "from course_lib import errors, registry\nfrom . import shipped\nfrom .idx import read",
        ),
        ("course_lib.data.load", "from course_lib import __version__\nfrom course_lib.data.idx import read"),
        (
            "course_lib.runtimes.ort",
            "import onnxruntime, torch\nfrom course_lib.benchmarking import measure_latency",
        ),
        ("course_lib.widgets.view", "import anywidget\nfrom course_lib.explore.engine import run"),
    ],
)
def test_what_is_allowed_passes(module: str, source: str) -> None:
    assert violations(source, module) == []


def test_relative_imports_of_a_package_start_at_itself() -> None:
    assert violations("from .load import load", "course_lib.data", is_package=True) == []
    assert violations("from ..training import fit", "course_lib.data", is_package=True)
