from xml.etree import ElementTree

import numpy as np
import pytest

from course_lib.explore.graph_boxes import boxes_of
from course_lib.explore.graph_svg import Look, by_family, draw_boxes, text
from course_lib.explore.graph_words import CONVOLUTION
from course_lib.export.graph_facts import GraphFacts, read_graph
from tests.export.passes.small_graphs import model, node


def facts() -> GraphFacts:
    nodes = [
        node("Conv", "x w", "c"),
        node("Relu", "c", "r"),
        node("Split", "r", "a b", axis=1, num_outputs=2),
        node("Concat", "a b", "y", axis=1),
    ]
    return read_graph(
        model(nodes, {"x": ["batch", 2, 4, 4]}, ["y"], {"w": np.ones((2, 2, 1, 1), np.float32)})
    )


def parsed(body: str) -> ElementTree.Element:
    return ElementTree.fromstring(f"<svg>{body}</svg>")


def words(root: ElementTree.Element) -> list[str]:
    return [each.text or "" for each in root.iter("text")]


def test_everything_is_drawn_inside_the_drawing() -> None:
    drawing = draw_boxes(boxes_of(facts()), by_family, aspect=1.5)
    root = parsed(drawing.body)
    for each in root.iter("rect"):
        x, y, width, height = (float(each.attrib[name]) for name in ("x", "y", "width", "height"))
        assert x >= 0
        assert y >= 0
        assert x + width <= drawing.width + 0.1
        assert y + height <= drawing.height + 0.1
    assert {"Conv", "Relu", "Split", "Concat", "x", "y", "weights 16.0 B · out 128 B"} <= set(words(root))


def test_every_node_has_a_title_and_every_tensor_a_label() -> None:
    root = parsed(draw_boxes(boxes_of(facts()), by_family, aspect=1.5).body)
    titles = [each.text or "" for each in root.iter("title")]
    assert [title.split("\n")[0].split(",")[0] for title in titles] == [
        "input x",
        "Conv node_c",
        "Relu node_r",
        "Split node_a",
        "Concat node_y",
        "output y",
    ]
    # Two halves have a label each, above their reader; the input's and the output's stand in their boxes.
    assert words(root).count("1×1×4×4 float32") == 2
    assert words(root).count("1×2×4×4 float32") == 3


def test_painting_and_marks() -> None:
    graph = boxes_of(facts())
    plain = draw_boxes(graph, by_family, aspect=1.5).body
    assert CONVOLUTION.fill in plain
    marked = draw_boxes(graph, lambda each: Look("#123456", "#654321", "7", struck=True), aspect=1.5).body
    assert "#123456" in marked
    assert words(parsed(marked)).count("7") == 4
    assert marked.count("line-through") == 4


@pytest.mark.parametrize("room", [300.0, 120.0, 40.0])
def test_words_are_fitted(room: float) -> None:
    (drawn,) = parsed(text(0, 0, "SkipSimplifiedLayerNormalization", size=16, room=room)).iter("text")
    shown = drawn.text or ""
    assert len(shown) * float(drawn.attrib["font-size"]) * 0.53 <= room + 12
    assert float(drawn.attrib["font-size"]) >= 12
    assert shown.startswith("Sk" if room > 40 else "S")
    assert ("…" in shown) == (room < 200)


def test_names_are_escaped() -> None:
    made = model([node("Relu", "x<&>", "y")], {"x<&>": [2]}, ["y"])
    root = parsed(draw_boxes(boxes_of(read_graph(made)), by_family, aspect=1).body)
    assert "x<&>" in words(root)
