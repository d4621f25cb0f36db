from pathlib import Path

import pytest

import course_lib.widgets
from course_lib.widgets import CompressionExplorer, QuantizerExplorer, SensitivityExplorer
from course_lib.widgets.page_source import script, style

FOLDER = Path(course_lib.widgets.__file__).parent
EXPLORERS = [
    ("visited", "compression_explorer"),
    ("quantizer_explorer",),
    ("visited", "sensitivity_explorer"),
]


@pytest.mark.parametrize("names", EXPLORERS)
def test_the_shared_part_comes_first(names: tuple[str, ...]) -> None:
    for joined, kind in ((script(*names), "js"), (style(*names), "css")):
        assert joined.startswith((FOLDER / f"page.{kind}").read_text(encoding="utf-8"))
        assert joined.endswith((FOLDER / f"{names[-1]}.{kind}").read_text(encoding="utf-8"))


@pytest.mark.parametrize("names", EXPLORERS)
def test_each_script_is_one_module_that_defines_nothing_twice(names: tuple[str, ...]) -> None:
    lines = script(*names).splitlines()
    assert [line for line in lines if line.startswith("export")] == ["export default { render };"]
    defined = [line.split("(")[0] for line in lines if line.startswith(("function ", "async function "))]
    assert len(defined) == len(set(defined))


@pytest.mark.parametrize("explorer", [CompressionExplorer, QuantizerExplorer, SensitivityExplorer])
def test_the_explorers_send_both_parts(explorer: type) -> None:
    assert "function tileRow" in explorer._esm
    assert ".ce-tile" in explorer._css
