import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import course_lib.widgets
from course_lib.architectures import list_zoo
from course_lib.errors import UnknownNameError
from course_lib.explore.fusion import LEVELS
from course_lib.widgets import FusionExplorer
from course_lib.widgets.page_source import script, style
from tests.explore.fusion_net import net

FOLDER = Path(course_lib.widgets.__file__).parent
YOURS = "model (yours)"


@pytest.fixture(scope="module")
def shared_explorer() -> FusionExplorer:
    widget = FusionExplorer(net(), level="off")
    assert widget.wait(120), widget.error
    return widget


@pytest.fixture
def explorer(shared_explorer: FusionExplorer) -> FusionExplorer:
    move(shared_explorer, model=YOURS, level="off", timed=False)
    return shared_explorer


def send(explorer: FusionExplorer, **change: Any) -> bool:
    request = explorer.request
    explorer.request = {**request, **change, "generation": request["generation"] + 1}
    return explorer.wait(120)


def move(explorer: FusionExplorer, **change: Any) -> dict[str, Any]:
    assert send(explorer, **change), explorer.error
    return explorer.result


def test_it_opens_with_the_own_model_and_offers_the_zoo(explorer: FusionExplorer) -> None:
    assert explorer.models == [YOURS, *list_zoo()]
    assert explorer.levels == list(LEVELS)
    assert explorer.result["exact"]
    assert explorer.result["label"] == f"{YOURS} at level off: the graph runs as it is in the file"
    assert explorer.picture["heads"] == ["In the file: 10 nodes", "Runs at level off: 10 nodes"]
    assert repr(explorer).startswith("Level off: 10 nodes run")


def test_text_tiles_tables_and_picture_say_the_same_at_every_level(explorer: FusionExplorer) -> None:
    for level in LEVELS:
        shown, picture = move(explorer, level=level), explorer.picture
        assert (picture["model"], picture["level"]) == (YOURS, level)
        runs = len(picture["after"])
        assert shown["tiles"]["nodes"]["value"] == f"{runs} of 10"
        words = f"{runs} nodes run, " if level == "off" else f"10 nodes in the file, {runs} run"
        assert words in shown["explanation"]
        assert picture["heads"][1] == f"Runs at level {level}: {runs} nodes"
        here = next(row for row in shown["levels"] if row["level"] == level)
        assert here["nodes"] == str(runs)
        assert shown["tiles"]["latency"]["detail"].startswith(f"{here['latency']} level off's ")
        counts = [int(row["after"]) for row in shown["operators"] if row["after"] != "–"]
        assert sum(counts) == runs
        fused = [node for node in picture["after"] if node["change"] == "fused"]
        assert shown["tiles"]["fused"]["value"] == str(len(fused))


def test_a_fused_node_names_what_went_into_it(explorer: FusionExplorer) -> None:
    move(explorer, level="basic")
    first = explorer.picture["after"][0]
    assert first["change"] == "fused"
    assert "stands for 2 nodes of the file: Conv conv_1 and BatchNormalization norm_1." in first["words"]
    linked = [left for left, right in explorer.picture["links"] if right == 0]
    assert [explorer.picture["before"][place]["name"] for place in linked] == ["conv_1", "norm_1"]


def test_nodes_are_timed_when_asked(explorer: FusionExplorer) -> None:
    shown = move(explorer, level="extended", timed=True)
    assert len(shown["times"]) == len(explorer.picture["after"])
    assert all(each["words"].endswith("µs") for each in shown["times"])
    assert any(row["time"] for row in shown["operators"])
    assert move(explorer, timed=False)["times"] is None


def test_the_first_result_has_no_latency_and_what_was_measured_has_it_at_once() -> None:
    explorer = FusionExplorer(net())
    assert explorer.wait(120), explorer.error
    seen: list[tuple[str, bool, str]] = []

    def note(change: dict[str, Any]) -> None:
        new = change["new"]
        seen.append((new["level"], new["exact"], new["tiles"]["latency"]["value"]))

    explorer.observe(note, "result")
    move(explorer, level="basic")
    move(explorer, level="all")
    explorer.close()
    assert seen[0] == ("basic", False, "…")
    assert seen[-2][:2] == ("basic", True)
    assert [level for level, _, _ in seen].count("all") == 1
    assert seen[-1][:2] == ("all", True)


def test_after_many_moves_the_last_one_is_shown(explorer: FusionExplorer) -> None:
    for level in (*LEVELS, "off", "extended"):
        request = explorer.request
        explorer.request = {**request, "level": level, "generation": request["generation"] + 1}
    assert explorer.wait(120)
    assert explorer.result["level"] == explorer.picture["level"] == "extended"
    assert explorer.result["generation"] == explorer.request["generation"]
    assert explorer.result["exact"]


def test_the_zoo_can_be_chosen(explorer: FusionExplorer) -> None:
    shown = move(explorer, model="plain_conv", level="basic")
    assert (shown["model"], explorer.picture["model"]) == ("plain_conv", "plain_conv")
    names: dict[str, Any] = {}
    exec(shown["code"], names)
    assert len(names["result"].diff.after.nodes) == len(explorer.picture["after"])


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ({"model": "resnet"}, "no model called 'resnet'"),
        ({"level": "most"}, "no optimization level called 'most'"),
        ({"level": ["all"]}, "cannot be read"),
        ({"generation": None}, "cannot be read"),
    ],
)
def test_nonsense_from_the_page_is_reported(
    explorer: FusionExplorer, broken: dict[str, Any], sentence: str
) -> None:
    sound = explorer.request
    explorer.request = {**sound, "generation": sound["generation"] + 1, **broken}
    assert not explorer.wait(120)
    assert sentence in explorer.error
    explorer.request = {**sound, "generation": sound["generation"] + 2}
    assert explorer.wait(120)
    assert explorer.error == ""


def test_the_picture_can_be_saved(explorer: FusionExplorer, monkeypatch: pytest.MonkeyPatch) -> None:
    move(explorer, level="basic")
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(explorer, "send", sent.append)
    explorer._asked(None, {"kind": "picture", "view": "fx1"}, [])
    explorer._asked(None, {"kind": "something else"}, [])
    (message,) = sent
    assert (message["kind"], message["view"], message["name"]) == ("picture", "fx1", "fusion_basic.svg")
    assert message["content"].startswith("<svg ")


def test_a_file_that_is_no_model_is_explained_on_the_page(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_text("hello")
    explorer = FusionExplorer(path)
    assert not explorer.wait(120)
    assert explorer.error.startswith("broken.onnx is not an ONNX")
    assert explorer.models[0] == "broken.onnx (yours)"
    explorer.close()


def test_the_code_for_a_file_has_its_input_shape(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(net())
    explorer = FusionExplorer(path, level="basic", input_shape=(3, 8, 8))
    assert explorer.wait(120), explorer.error
    names: dict[str, Any] = {}
    exec(explorer.result["code"], names)
    assert names["result"].exact
    assert f"FusionEngine({str(path)!r}, input_shape=(3, 8, 8))" in explorer.result["code"]
    explorer.close()


def test_bad_arguments_are_refused_at_once() -> None:
    with pytest.raises(UnknownNameError, match="no trained model called 'resnet'"):
        FusionExplorer("resnet")
    with pytest.raises(UnknownNameError, match="no optimization level called 'most'"):
        FusionExplorer(level="most")  # type: ignore[arg-type]


def test_the_page_gets_the_shared_part_first() -> None:
    for joined, kind in ((script("fusion_explorer"), "js"), (style("fusion_explorer"), "css")):
        assert joined.startswith((FOLDER / f"page.{kind}").read_text(encoding="utf-8"))
        assert joined.endswith((FOLDER / f"fusion_explorer.{kind}").read_text(encoding="utf-8"))
    assert FusionExplorer._esm == script("fusion_explorer")
    lines = script("fusion_explorer").splitlines()
    assert [line for line in lines if line.startswith("export")] == ["export default { render };"]
    defined = [line.split("(")[0] for line in lines if line.startswith(("function ", "async function "))]
    assert len(defined) == len(set(defined))


def test_a_model_is_explored_without_torch() -> None:
    code = (
        "import sys; from course_lib.widgets import FusionExplorer\n"
        "from tests.explore.fusion_net import net\n"
        "explorer = FusionExplorer(net()); assert explorer.wait(120), explorer.error\n"
        "print('torch' in sys.modules)"
    )
    root = FOLDER.parent.parent
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "False"
