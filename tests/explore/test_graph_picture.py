from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import onnx
import pytest

from course_lib.errors import ModelError, SettingError
from course_lib.explore.graph_picture import GROUP_COLOURS, GraphPicture, draw_diff, draw_graph
from course_lib.export.graph_diff import diff_graphs
from course_lib.export.graph_facts import read_graph
from course_lib.export.passes.conv_bn import fold_batch_norm
from tests.explore.test_graph_boxes import WEIGHTS, blocks
from tests.export.passes.small_graphs import model, node

SVG = "{http://www.w3.org/2000/svg}"


def network(times: int, size: int = 6) -> onnx.ModelProto:
    nodes = [*blocks(times, skip=True), node("Exp", f"s{times - 1}", "y")]
    return model(nodes, {"x": ["batch", 1, size, size]}, ["y"], WEIGHTS)


def words(picture: GraphPicture) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(picture.svg).iter(f"{SVG}text")]


def test_a_graph_says_what_it_holds() -> None:
    picture = draw_graph(network(1), title="one block")
    root = ElementTree.fromstring(picture.svg)
    assert root.attrib["viewBox"] == f"0 0 {picture.width} {picture.height}"
    assert root.attrib["aria-label"] == picture.summary == str(picture)
    assert picture.summary == "one block: 5 nodes, weights 20.0 B, activations 720 B for batch = 1."
    assert {"one block", "BatchNorm", "activation", "convolution, matrix product"} <= set(words(picture))
    assert picture.svg in picture._repr_html_()
    facts = draw_graph(read_graph(network(1)), title="one block")
    assert facts.svg == picture.svg


def test_large_graphs_stay_small() -> None:
    whole = draw_graph(network(12), stack=False, fold=False)
    picture = draw_graph(network(12))
    assert "×12" in words(picture)
    assert any("n in a row that are alike" in each for each in words(picture))
    assert picture.width * picture.height < whole.width * whole.height / 5
    assert whole.width / whole.height == pytest.approx(1.5, rel=0.5)
    assert words(whole).count("Conv") == 12


def test_fused_nodes_have_one_colour_and_number_on_both_sides() -> None:
    before = network(2)
    diff = diff_graphs(read_graph(before), read_graph(fold_batch_norm(before)))
    picture = draw_diff(diff, titles=("file", "folded"))
    assert {"file: 9 nodes", "folded: 7 nodes"} <= set(words(picture))
    assert "Conv + BatchNormalization → Conv, 2×" in words(picture)
    # Number 1: two rows on the left, one on the right.
    assert words(picture).count("1") == words(picture).count("2") == 3
    fill, _ = GROUP_COLOURS[0]
    assert picture.svg.count(f'fill="{fill}"') == 6 + 1  # rows, and the legend
    assert picture.summary.startswith("file and folded: 9 nodes became 7; 2 fused from 4;")


def test_what_is_gone_and_what_is_new_is_marked() -> None:
    before = model([node("Exp", "x", "dead"), node("Relu", "x", "y")], {"x": [2]}, ["y"])
    after = model([node("Identity", "x", "i"), node("Relu", "i", "y")], {"x": [2]}, ["y"])
    picture = draw_diff(diff_graphs(read_graph(before), read_graph(after)))
    assert picture.svg.count("line-through") == 1
    assert words(picture).count("new") == 1
    assert "struck out: folded or removed" in words(picture)


def test_a_picture_is_written_whole(tmp_path: Path) -> None:
    picture = draw_graph(network(1))
    picture.save(tmp_path / "graph.svg")
    assert (tmp_path / "graph.svg").read_text(encoding="utf-8") == picture.svg


def test_a_graph_without_nodes() -> None:
    made = model([node("Identity", "x", "y")], {"x": [2]}, ["y"])
    del made.graph.node[:]
    del made.graph.output[:]
    assert draw_graph(made).summary.startswith("Graph: 0 nodes")


def test_errors() -> None:
    with pytest.raises(ModelError, match="is not an ONNX model or is cut short"):
        draw_graph(b"hello")
    with pytest.raises(
        SettingError, match=r"aspect is 0 and columns 0; pass an aspect above 0, such as 1\.5"
    ):
        draw_graph(network(1), aspect=0)
    with pytest.raises(SettingError, match="columns -1"):
        draw_graph(network(1), columns=-1)
    facts = read_graph(network(1))
    with pytest.raises(SettingError, match="aspect is nan"):
        draw_diff(diff_graphs(facts, facts), aspect=np.nan)
