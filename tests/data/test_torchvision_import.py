import subprocess
import sys
from types import SimpleNamespace

import pytest

from course_lib.data import torchvision_import
from course_lib.errors import MissingPackageError


@pytest.fixture
def declared(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Count the declarations instead of making them."""
    calls: list[bool] = []
    monkeypatch.setattr(torchvision_import, "_declare_missing_schemas", lambda: calls.append(True))
    return calls


def fake_imports(monkeypatch: pytest.MonkeyPatch, *outcomes: Exception | None) -> list[str]:
    """Let each import in turn raise, or succeed for None; return the list of imported names."""
    names: list[str] = []

    def import_module(name: str) -> None:
        names.append(name)
        outcome = outcomes[len(names) - 1]
        if outcome:
            raise outcome

    monkeypatch.setattr(torchvision_import, "importlib", SimpleNamespace(import_module=import_module))
    return names


def test_where_torchvision_imports_nothing_is_declared(
    declared: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = fake_imports(monkeypatch, None)
    torchvision_import.import_torchvision()
    assert names == ["torchvision"]
    assert declared == []


def test_where_its_operators_are_missing_they_are_declared_and_it_imports(
    declared: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = fake_imports(monkeypatch, RuntimeError("operator torchvision::nms does not exist"), None)
    torchvision_import.import_torchvision()
    assert names == ["torchvision", "torchvision"]
    assert declared == [True]


def test_without_torchvision_one_sentence_says_how_to_get_it(
    declared: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_imports(monkeypatch, ModuleNotFoundError("No module named 'torchvision'"))
    with pytest.raises(MissingPackageError) as caught:
        torchvision_import.import_torchvision()
    assert str(caught.value) == (
        "torchvision is needed to load this data set; install it with: pip install torchvision==0.28.0"
    )
    assert declared == []


@pytest.mark.slow
def test_the_real_torchvision_imports_as_often_as_asked() -> None:
    code = (
        "from course_lib.data.torchvision_import import import_torchvision\n"
        "import_torchvision()\nimport_torchvision()\n"
        "from torchvision.datasets import FashionMNIST\n"
        "print(FashionMNIST.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("FashionMNIST", 0), done.stderr
