import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import course_lib.widgets
from course_lib.architectures.blocks.catalogue import BLOCKS, BlockShape
from course_lib.errors import UnknownNameError
from course_lib.explore.block_choice import STOPS
from course_lib.widgets import BlockExplorer
from course_lib.widgets.page_source import script, style

FOLDER = Path(course_lib.widgets.__file__).parent


@pytest.fixture(scope="module")
def shared_explorer() -> BlockExplorer:
    widget = BlockExplorer(shape=BlockShape(16, 32, resolution=14))
    assert widget.wait(120), widget.error
    return widget


@pytest.fixture
def explorer(shared_explorer: BlockExplorer) -> BlockExplorer:
    move(
        shared_explorer, **{key: value for key, value in shared_explorer.start.items() if key != "generation"}
    )
    return shared_explorer


def send(explorer: BlockExplorer, **change: Any) -> bool:
    request = explorer.request
    explorer.request = {**request, **change, "generation": request["generation"] + 1}
    return explorer.wait(120)


def move(explorer: BlockExplorer, **change: Any) -> dict[str, Any]:
    assert send(explorer, **change), explorer.error
    return explorer.result


def test_it_opens_with_a_separable_block_measured(explorer: BlockExplorer) -> None:
    shown = explorer.result
    assert shown["label"] == "Depthwise-separable convolution: 16 → 32 channels, 14×14 pixels"
    assert shown["exact"]
    assert shown["tiles"]["macs"]["value"] == "129\N{NO-BREAK SPACE}k"
    assert shown["tiles"]["latency"]["value"].endswith(" ms")
    assert [entry["name"] for entry in explorer.blocks] == list(BLOCKS)
    assert {entry["knob"]: tuple(entry["stops"]) for entry in explorer.knobs} == dict(STOPS)


def test_knobs_are_those_that_the_blocks_obey(explorer: BlockExplorer) -> None:
    for entry in explorer.blocks:
        assert entry["knobs"] == list(BLOCKS[entry["name"]].knobs)


def test_tiles_bars_sentence_and_picture_say_the_same(explorer: BlockExplorer) -> None:
    for block in ("separable", "inverted_residual", "fire"):
        shown = move(explorer, block=block)
        macs, latency = shown["bars"]
        assert macs["block"].startswith(shown["tiles"]["macs"]["value"])
        assert latency["block"].startswith(shown["tiles"]["latency"]["value"])
        for bar, tile in ((macs, "macs"), (latency, "latency")):
            ratio = bar["block"].split(", ")[1]
            assert shown["tiles"][tile]["detail"].startswith(f"{ratio} the standard convolution's ")
            assert ratio in shown["explanation"]
        assert latency["interval"][0] <= latency["ratio"] <= latency["interval"][1]
        timed = [layer for layer in shown["picture"]["layers"] if layer["time"]]
        convolutions = ("conv", "pointwise", "depthwise", "grouped")
        assert timed == [layer for layer in shown["picture"]["layers"] if layer["kind"] in convolutions]


def test_the_formula_has_the_numbers_put_in(explorer: BlockExplorer) -> None:
    shown = move(explorer, block="inverted_residual", expansion=2)
    numbers = "".join(shown["formula"]["numbers"])
    for number in (16, 32, 14, 2):
        assert f"<mn>{number}</mn>" in numbers
    macs = BLOCKS["inverted_residual"].macs(BlockShape(16, 32, 14, expansion=2))
    assert numbers.endswith(f"<mo>=</mo><mn>{macs:,}</mn></math>")
    (expanded,) = shown["formula"]["definitions"]
    assert expanded.endswith("<mo>=</mo><mn>32</mn></math>")


def test_the_first_result_has_no_latency_and_the_next_one_has(explorer: BlockExplorer) -> None:
    seen: list[tuple[bool, str, str]] = []

    def note(change: dict[str, Any]) -> None:
        new = change["new"]
        seen.append((new["exact"], new["tiles"]["macs"]["value"], new["tiles"]["latency"]["value"]))

    explorer.observe(note, "result")
    move(explorer, block="ghost", in_channels=12)
    move(explorer, block="ghost", in_channels=16)
    seen.clear()
    move(explorer, block="ghost", in_channels=12)
    move(explorer, block="mbconv", resolution=7, kernel=5)
    explorer.unobserve(note, "result")
    # What was measured before is there at once.
    assert [exact for exact, _, _ in seen] == [True, False, True]
    assert seen[1][2] == "…"
    assert seen[1][1] == seen[2][1]


def test_after_many_moves_the_last_one_is_shown(explorer: BlockExplorer) -> None:
    for channels in STOPS["out_channels"]:
        request = explorer.request
        moved = {"out_channels": channels, "generation": request["generation"] + 1}
        explorer.request = {**request, **moved}
    assert explorer.wait(120)
    assert explorer.result["shape"]["out_channels"] == 128
    assert explorer.result["generation"] == explorer.request["generation"]
    assert explorer.result["exact"]


def test_a_shape_that_a_block_refuses_is_explained_and_the_nearest_is_offered(
    explorer: BlockExplorer,
) -> None:
    assert not send(explorer, block="shuffle_v1", out_channels=8)
    assert explorer.error == (
        "A ShuffleNet V1 block got 16 → 8 channels at stride 1; expected equal channels at stride 1, where "
        "the input is added, and more output channels than input channels at stride 2, where it is put "
        "beside."
    )
    assert explorer.fix["words"] == "Use channels in 8"
    shown = move(explorer, **explorer.fix["shape"])
    assert (shown["block"], shown["shape"]["out_channels"]) == ("shuffle_v1", 8)
    assert (explorer.error, explorer.fix) == ("", {})


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ({"block": "resnet"}, "no block called 'resnet'"),
        ({"kernel": 4}, "kernel is 4; expected an odd number"),
        ({"stride": 3}, "stride is 3; expected 1, or 2"),
        ({"in_channels": "many"}, "in_channels is 'many'; expected a whole number of at least 1."),
        ({"groups": None}, "groups is None; expected a whole number of at least 1."),
        ({"generation": None}, "cannot be read"),
    ],
)
def test_nonsense_from_the_page_is_reported(
    explorer: BlockExplorer, broken: dict[str, Any], sentence: str
) -> None:
    sound = explorer.request
    explorer.request = {**sound, "generation": sound["generation"] + 1, **broken}
    assert not explorer.wait(120)
    assert sentence in explorer.error
    assert explorer.fix == {}
    explorer.request = {**sound, "generation": sound["generation"] + 2}
    assert explorer.wait(120)
    assert explorer.error == ""


@pytest.mark.parametrize("block", BLOCKS)
def test_everything_that_is_sent_is_json(explorer: BlockExplorer, block: str) -> None:
    shown = move(explorer, block=block, in_channels=24, out_channels=24)
    words = json.dumps([shown, explorer.blocks, explorer.knobs, explorer.start, explorer.fix])
    assert not any(number in words for number in ("NaN", "Infinity"))  # which JSON does not have
    assert shown["explanation"].endswith(".")


def test_the_code_computes_what_is_shown(explorer: BlockExplorer) -> None:
    shown = move(explorer, block="shuffle_v1", in_channels=24, out_channels=24, groups=3)
    names: dict[str, Any] = {}
    exec(shown["code"], names)
    result = names["result"]
    assert (result.setting.block, result.setting.shape.groups) == ("shuffle_v1", 3)
    assert "".join(shown["formula"]["numbers"]).endswith(f"<mn>{result.macs:,}</mn></math>")
    assert result.latency is not None


def test_bad_arguments_are_refused_at_once() -> None:
    with pytest.raises(UnknownNameError, match="no block called 'resnet'"):
        BlockExplorer("resnet")


def test_two_explorers_know_the_same_measurements(explorer: BlockExplorer) -> None:
    other = BlockExplorer(shape=BlockShape(16, 32, resolution=14))
    assert other.wait(120), other.error
    assert other.result["tiles"] == explorer.result["tiles"]
    other.close()


def test_the_page_gets_the_shared_part_first() -> None:
    for joined, kind in ((script("block_explorer"), "js"), (style("block_explorer"), "css")):
        assert joined.startswith((FOLDER / f"page.{kind}").read_text(encoding="utf-8"))
        assert joined.endswith((FOLDER / f"block_explorer.{kind}").read_text(encoding="utf-8"))
    assert BlockExplorer._esm == script("block_explorer")
    lines = script("block_explorer").splitlines()
    assert [line for line in lines if line.startswith("export")] == ["export default { render };"]
    defined = [line.split("(")[0] for line in lines if line.startswith(("function ", "async function "))]
    assert len(defined) == len(set(defined))


def test_pages_with_other_explorers_do_without_torch() -> None:
    code = "import sys, course_lib.widgets; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
