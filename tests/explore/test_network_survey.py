import numpy as np
import pytest
import torch
from torch import nn

from course_lib.architectures import load_card, load_pretrained
from course_lib.benchmarking import proportion_interval
from course_lib.benchmarking.macs import profile_layers
from course_lib.data import load_dataset
from course_lib.edge.measured import network_of
from course_lib.edge.memory_plan import plan_memory
from course_lib.errors import ModelError, UnknownNameError
from course_lib.explore.model_source import onnx_of
from course_lib.explore.network_survey import card_figures, survey_network
from course_lib.reproducibility import seeded_torch
from course_lib.training import predict


def test_a_zoo_network_has_the_figures_of_its_card() -> None:
    card, survey = load_card("tiny"), survey_network("tiny", "tiny", plan_memory)
    assert survey.figures == card_figures("tiny")
    assert (survey.figures.accuracy, survey.figures.images) == (card.accuracy, card.total)
    assert (survey.figures.macs, survey.figures.params) == (card.macs, card.params)
    assert sum(layer.amount for layer in survey.macs_by_layer) == card.macs
    assert survey.content == onnx_of("tiny")
    assert survey.size_bytes == len(survey.content)


def test_memory_is_that_of_the_plan() -> None:
    survey = survey_network("tiny", "tiny", plan_memory)
    plan = plan_memory(load_pretrained("tiny"), torch.zeros(1, 1, 28, 28))
    assert survey.peak_activation_bytes == plan.peak_bytes
    assert [step.amount for step in survey.memory_by_step] == [step.live_bytes for step in plan.steps]
    assert max(step.amount for step in survey.memory_by_step) == survey.peak_activation_bytes


def test_the_record_is_one_that_the_selection_takes() -> None:
    network = network_of(survey_network("tiny", "tiny", plan_memory).record(0.25))
    assert (network.name, network.p50_ms, network.params) == ("tiny", 0.25, load_card("tiny").params)


def test_a_module_of_ones_own_is_judged_on_the_test_images_and_left_as_it_was() -> None:
    with seeded_torch(0):
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).train()
    survey = survey_network("mine", model, plan_memory)
    assert model.training
    test = load_dataset("fashion-mnist")
    right = int((predict(model, test.all_inputs).argmax(1) == np.asarray(test.labels)).sum())
    assert survey.figures.accuracy == right / 10_000
    interval = proportion_interval(right, 10_000)
    assert (survey.figures.accuracy_low, survey.figures.accuracy_high) == tuple(interval)
    profile = profile_layers(model, torch.zeros(1, 1, 28, 28))
    assert (survey.figures.macs, survey.figures.params) == (profile.macs, profile.params) == (7840, 7850)
    assert [layer.name for layer in survey.macs_by_layer] == ["1"]


def test_what_cannot_be_surveyed_is_refused_in_one_sentence() -> None:
    with pytest.raises(UnknownNameError, match="no trained model called 'resnet'"):
        survey_network("resnet", "resnet", plan_memory)
    with pytest.raises(
        ModelError, match=r"^net is an ONNX file, but layers and memory are counted in PyTorch"
    ):
        survey_network("net", "net.onnx", plan_memory)
    with pytest.raises(ModelError):
        survey_network("mine", nn.Linear(5, 10), plan_memory)
