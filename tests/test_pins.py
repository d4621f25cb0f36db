"""pip, conda, Binder and the constraints install the same versions: their files are read and compared."""

import re
import stat
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent

CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
"""Where conda-forge has another name; matplotlib-base is matplotlib without its windows (Qt)."""

CONDA_ONLY = {"python", "pip"}

PIN = re.compile(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.]+)")


def normal(name: str) -> str:
    """Return a name as package indexes compare it: Jinja2 → jinja2, typing_extensions → typing-extensions."""
    return re.sub(r"[-_.]+", "-", name).lower()


def parse_pins(lines: list[str]) -> dict[str, str]:
    """Return name → version of lines such as ``numpy==2.4.6``; anything else is an error."""
    pins = {}
    for line in lines:
        match = PIN.fullmatch(line)
        assert match, f"{line!r} is not a plain name==version"
        assert normal(match[1]) not in pins, f"{line!r} is pinned twice"
        pins[normal(match[1])] = match[2]
    return pins


def parse_conda(text: str) -> dict[str, str]:
    """Return name → version of an environment file, from ``name=version`` or ``name=version=build``."""
    dependencies = yaml.safe_load(text)["dependencies"]
    assert all(isinstance(entry, str) for entry in dependencies), "Binder resolves a pip section elsewhere"
    return {
        name: version.split("=")[0] for name, _, version in (entry.partition("=") for entry in dependencies)
    }


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CORE = parse_pins(PROJECT["project"]["dependencies"])
EXTRAS = {name: parse_pins(lines) for name, lines in PROJECT["project"]["optional-dependencies"].items()}
CONDA_TEXT = (ROOT / "environment.yml").read_text(encoding="utf-8")
CONDA = parse_conda(CONDA_TEXT)
CONSTRAINTS = parse_pins((ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines())

COMPILERS_TEXT = (ROOT / "compilers.txt").read_text(encoding="utf-8").splitlines()
COMPILER_LINES = [line.split(";")[0] for line in COMPILERS_TEXT if not line.startswith("#")]
COMPILERS = parse_pins(COMPILER_LINES)
COMPILER_EXTRAS = ("openvino", "litert", "executorch", "coreml", "tensorrt")


def test_conda_environment_has_the_same_pins() -> None:
    expected = {CONDA_NAMES.get(name, name): version for name, version in CORE.items()}
    assert {name: version for name, version in CONDA.items() if name not in CONDA_ONLY} == expected


def test_conda_environment_is_conda_forge_for_cpus() -> None:
    environment = yaml.safe_load(CONDA_TEXT)
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    assert f"pytorch={CORE['torch']}=cpu*" in environment["dependencies"]
    lowest = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert tuple(map(int, CONDA["python"].split("."))) >= tuple(map(int, lowest.split(".")))


@pytest.mark.parametrize("wanted", [CORE, *EXTRAS.values()], ids=["core", *EXTRAS])
def test_constraints_hold_every_pin(wanted: dict[str, str]) -> None:
    held = CONSTRAINTS | COMPILERS
    assert {name: held.get(name) for name in wanted} == wanted


@pytest.mark.parametrize("extra", COMPILER_EXTRAS)
def test_make_compilers_installs_every_extra(extra: str) -> None:
    assert EXTRAS[extra].items() <= COMPILERS.items()


def test_compilers_change_no_package_of_the_course() -> None:
    assert COMPILERS.keys().isdisjoint(CORE)
    both = COMPILERS.keys() & CONSTRAINTS.keys()
    assert {name: COMPILERS[name] for name in both} == {name: CONSTRAINTS[name] for name in both}


def test_compilers_are_sorted_and_say_why_they_come_without_dependencies() -> None:
    names = [normal(line.split("==")[0]) for line in COMPILER_LINES]
    assert names == sorted(names)
    (comment,) = [line for line in COMPILERS_TEXT if line.startswith("#")]
    assert "--no-deps" in comment


def test_the_build_tool_is_the_constrained_one() -> None:
    build = parse_pins(PROJECT["build-system"]["requires"])
    assert {name: CONSTRAINTS.get(name) for name in build} == build


def test_constraints_are_sorted_and_without_the_project() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    names = [normal(line.split("==")[0]) for line in lines]
    assert names == sorted(names)
    assert PROJECT["project"]["name"] not in CONSTRAINTS


def test_extras_repeat_no_core_pin() -> None:
    assert all(CORE.keys().isdisjoint(extra) for extra in EXTRAS.values())


def test_binder_reuses_the_environment() -> None:
    assert (ROOT / "binder" / "environment.yml").resolve() == ROOT / "environment.yml"
    assert not (ROOT / ".binder").exists(), "Binder takes one of binder/ and .binder/, not both"


@pytest.mark.parametrize("name", ["postBuild", "start"])
def test_binder_scripts_stop_at_the_first_error(name: str) -> None:
    script = ROOT / "binder" / name
    assert script.stat().st_mode & stat.S_IXUSR
    assert re.search(r"^set -e", script.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize(
    "line", ["torch>=2.13", "torch==2.13.0+cpu", "torch", "torch==2.*", "torch == 2.13.0"]
)
def test_a_loose_pin_is_noticed(line: str) -> None:
    with pytest.raises(AssertionError, match="not a plain name==version"):
        parse_pins([line])


def test_a_pin_of_another_version_would_be_noticed() -> None:
    altered = CONDA_TEXT.replace(f"numpy={CORE['numpy']}", "numpy=1.0")
    assert parse_conda(altered)["numpy"] == "1.0" != CORE["numpy"]
