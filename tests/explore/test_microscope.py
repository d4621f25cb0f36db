"""The engine that removes channels: against PyTorch, by hand, its stream, its errors."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from course_lib.architectures import load_card
from course_lib.benchmarking import Interval
from course_lib.benchmarking.macs import profile_layers
from course_lib.data import load_dataset
from course_lib.errors import ModelError, SettingError, UnknownNameError
from course_lib.explore import ChannelChoice, MicroscopeEngine, MicroscopeResult
from course_lib.explore.result import MeasuredLatency
from tests.explore.microscope_net import HEAD, STEM, tied_data, tied_engine, tied_net

REMOVED = {STEM: [1, 4, 6], HEAD: [0]}


def masked_accuracy(removed: dict[str, list[int]]) -> float:
    """Return the accuracy of the network in which nothing reads these channels, by torch alone."""
    net = type(tied_net())().eval()
    net.load_state_dict(tied_net().state_dict())
    with torch.no_grad():
        net.block.weight[:, removed[STEM]] = 0
        net.head.weight[:, removed[STEM]] = 0
        net.classifier.weight.view(3, 6, 36)[:, removed[HEAD]] = 0
        predicted = net(torch.from_numpy(tied_data().inputs())).argmax(1).numpy()
    return float(np.mean(predicted == tied_data().labels))


@pytest.mark.parametrize("removed", [REMOVED, {STEM: [0], HEAD: []}, {STEM: list(range(7)), HEAD: [2, 3]}])
def test_the_smaller_graph_has_the_accuracy_of_the_masked_module(removed: dict[str, list[int]]):
    engine = tied_engine()
    assert engine.exact(engine.choice(removed)).accuracy.value == masked_accuracy(removed)


def test_numbers_worked_by_hand():
    engine = tied_engine()
    result = engine.exact(engine.choice(REMOVED))
    # 5 channels in stem, block and depthwise, 5 in the head, 5 × 36 inputs of the classifier.
    params = (9 + 1) * 5 + (5 * 9 + 1) * 5 + 2 * 5 + (9 + 1) * 5 + (5 + 1) * 5 + 180 * 3 + 3
    assert result.params == params
    assert result.macs == 9 * 5 * 64 + 5 * 9 * 5 * 64 + 9 * 5 * 36 + 5 * 5 * 36 + 180 * 3
    assert result.dense_params == sum(parameter.numel() for parameter in tied_net().parameters())
    assert result.label == "1 channel of head and 3 of stem removed"
    # The norm's statistics are stored as well; all is in 32-bit floats.
    assert result.dense_size_bytes >= 4 * result.dense_params
    assert 4 * params <= result.size_bytes <= 4 * (params + 2 * 5)


def test_the_pruned_module_has_the_numbers_of_the_result():
    engine = tied_engine()
    choice = engine.choice(REMOVED)
    result, module = engine.exact(choice), engine.pruned(choice)
    assert sum(parameter.numel() for parameter in module.parameters()) == result.params
    assert profile_layers(module, torch.zeros(1, 1, 8, 8)).macs == result.macs
    with torch.inference_mode():
        predicted = module(torch.from_numpy(tied_data().inputs())).argmax(1).numpy()
    assert np.mean(predicted == tied_data().labels) == result.accuracy.value


def test_all_channels_leave_the_model_as_it_is():
    engine = tied_engine()
    result = engine.exact(ChannelChoice())
    assert result.accuracy.value == engine.baseline_accuracy
    assert (result.macs, result.params) == (result.dense_macs, result.dense_params)
    assert result.size_bytes == result.dense_size_bytes
    assert result.latency_note == "This is the whole model, compared with itself."


def test_results_know_more_and_more_and_the_last_is_remembered():
    engine = tied_engine()
    choice = engine.choice({STEM: [2], HEAD: [1, 5]})
    first, *_, last = engine.stream(choice)
    assert first.accuracy.low <= last.accuracy.value <= first.accuracy.high
    assert (first.latency, first.class_accuracy) == (None, None)
    assert last.accuracy.exact
    assert last.latency is not None
    assert list(engine.stream(choice)) == [last]


def test_a_cancelled_stream_ends_after_its_first_result():
    engine = tied_engine()
    choice = engine.choice({HEAD: [4]})
    (only,) = engine.stream(choice, cancelled=lambda: True)
    assert not only.accuracy.exact
    assert len(list(engine.stream(choice))) > 1


@pytest.fixture
def measured() -> MicroscopeResult:
    engine = tied_engine()
    return engine.exact(engine.choice({HEAD: [0, 1]}))


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.4, 0.6, "measured 2.00× faster. Fewer MACs are no promise"),
        (1.1, 1.3, "yet measured 0.50× slower. Fewer MACs are no promise"),
        (0.9, 1.1, "but no difference in latency that could be told from noise. "),
    ],
)
def test_the_note_reads_the_measured_ratio(measured: MicroscopeResult, low: float, high: float, words: str):
    interval = Interval(low, high, 0.95)
    latency = MeasuredLatency(1.0, interval, 2.0, 0.5, interval, 20, None)
    assert words in replace(measured, latency=latency).latency_note
    assert measured.macs_gain == measured.dense_macs / measured.macs


def test_the_note_names_a_width_that_fast_kernels_do_not_like():
    engine = tied_engine()
    assert engine.exact(engine.choice({STEM: [0]})).uneven == "stem is left with 7 channels"
    assert engine.exact(engine.choice({STEM: [0, 1, 2, 3]})).uneven == ""


def test_choices_that_cannot_be_are_refused():
    engine = tied_engine()
    with pytest.raises(SettingError, match="All 6 channels of the group 'head' would be removed"):
        engine.choice({HEAD: list(range(6))})
    with pytest.raises(SettingError, match="'head' has no channel 6; expected channels from 0 to 5"):
        engine.choice({HEAD: [6]})
    with pytest.raises(UnknownNameError, match="no group of channels called 'block'"):
        next(engine.stream(ChannelChoice.of({"block": [0]})))


def test_an_onnx_file_is_refused_with_what_to_pass_instead():
    with pytest.raises(ModelError) as refused:
        MicroscopeEngine("mine/net.onnx", tied_data())
    assert str(refused.value) == (
        "net.onnx is an ONNX file, which does not tell which channels belong together; pass the PyTorch "
        "module that it was exported from."
    )


@pytest.mark.slow
def test_the_default_model_has_the_accuracy_of_its_card():
    engine = MicroscopeEngine("depthwise", load_dataset("fashion-mnist"))
    assert engine.exact(ChannelChoice()).accuracy.value == load_card("depthwise").accuracy
    smaller = engine.exact(engine.choice({"blocks.2.pointwise.0": range(32)}))
    assert smaller.macs_gain > 1.4
    assert smaller.size_bytes < 0.8 * smaller.dense_size_bytes
