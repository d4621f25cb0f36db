"""The benchmark of the families: its records, the comparison with the cards, and who counts as comparable."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import families
from benchmarks.cli import table_rows
from course_lib.architectures import ModelCard, create_model, load_card, load_pretrained
from course_lib.data import load_dataset
from course_lib.edge.measured import network_of
from course_lib.export.onnx_export import build_onnx
from course_lib.pipelines.recipes import FAMILY, RECIPES
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from course_lib.training import predict

KEYS = {"families", "others", "equal_to_recorded", "compared", "most_accurate", "fastest"}


def recorded(name: str) -> dict[str, Any]:
    card = load_card(name)
    return {key: getattr(card, key) for key in ("name", "macs", "params", "correct", "total")}


@pytest.mark.parametrize("key", ["macs", "params", "correct"])
def test_a_number_that_differs_from_the_card_is_found(key: str) -> None:
    record = recorded("tiny")
    assert families.is_as_recorded(record)
    assert not families.is_as_recorded({**record, key: record[key] + 1})


def test_the_answers_to_some_of_the_images_are_not_compared() -> None:
    assert families.is_as_recorded({**recorded("tiny"), "correct": 893, "total": 1_000})


def test_the_record_of_a_network() -> None:
    record = families.examine("tiny", load_pretrained("tiny"), load_dataset("fashion-mnist", "test"), 200)
    card = load_card("tiny")
    assert (record["macs"], record["params"], record["total"]) == (card.macs, card.params, 200)
    assert record["accuracy"] == record["correct"] / 200
    assert 0.8 < record["accuracy_low"] < record["accuracy"] < record["accuracy_high"] < 1
    # The stem's 16 maps of 14×14 float32 go through its depthwise convolution: two such tensors at once.
    assert record["peak_activation_bytes"] >= 2 * 16 * 14 * 14 * 4


@pytest.mark.parametrize(("compared", "verdict"), [(7, "missed"), (8, "met")])
def test_fewer_than_eight_families_read_as_missed(compared: int, verdict: str) -> None:
    (row,) = table_rows({"compared": compared}, families.TARGETS)
    assert row[""] == verdict


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(name for name, recipe in RECIPES.items() if recipe is FAMILY))
def test_each_family_can_be_examined_and_raced(name: str) -> None:
    model = create_model(name).eval()
    record = families.examine(name, model, load_dataset("fashion-mnist", "test"), 16)
    assert record["peak_activation_bytes"] > 28 * 28 * 4
    picture = np.random.default_rng(0).random((1, 1, 28, 28), np.float32)
    content = build_onnx(model, torch.zeros(1, 1, 28, 28))
    scores = OnnxRuntime().load(content).run(picture)
    np.testing.assert_allclose(scores, predict(model, picture), rtol=1e-3, atol=1e-4)
    compared = families.race({families.BASELINE: content, name: content}, rounds=3)
    assert compared.ratios[name].value > 0


@pytest.mark.slow
def test_the_zoo_is_sorted_by_its_budget_and_compared_with_its_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "list_zoo", lambda: ["depthwise", "tiny"])
    monkeypatch.setattr(families, "QUICK_IMAGES", 200)
    figures = families.measure(quick=True)
    assert set(figures) == KEYS
    assert [record["name"] for record in figures["families"]] == ["depthwise"]
    assert [record["name"] for record in figures["others"]] == ["tiny"]
    assert figures["equal_to_recorded"]
    assert figures["compared"] == 1
    assert figures["families"][0]["ratio_to_depthwise"] == 1
    low, high = figures["others"][0]["ratio_interval"]
    assert 0 < low <= figures["others"][0]["ratio_to_depthwise"] <= high
    assert [network_of(record).name for record in figures["families"]] == ["depthwise"]

    def wrong(name: str) -> ModelCard:
        return dataclasses.replace(load_card(name), params=1)

    monkeypatch.setattr(families, "load_card", wrong)
    assert not families.is_as_recorded(figures["families"][0])
