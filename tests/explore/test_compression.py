import numpy as np
import pytest
import torch
from torch import nn

from course_lib.architectures import load_card, load_pretrained
from course_lib.data import Dataset, load_dataset
from course_lib.errors import ModelError, UnknownNameError
from course_lib.explore import CompressionEngine, CompressionSetting

SETTING = CompressionSetting(0.4, 4)


def accuracy_by_hand(model: nn.Module, data: Dataset) -> float:
    with torch.inference_mode():
        return float((model(torch.from_numpy(data.inputs())).argmax(1).numpy() == data.labels).mean())


def test_the_baseline_is_the_model(engine: CompressionEngine, small_net: nn.Module, small_data: Dataset):
    assert engine.baseline_accuracy == accuracy_by_hand(small_net, small_data)
    assert engine.exact(CompressionSetting()).accuracy.value == engine.baseline_accuracy


def test_the_stream_ends_with_the_accuracy_of_the_compressed_module(
    engine: CompressionEngine, small_net: nn.Module, small_data: Dataset
):
    from course_lib.explore.compress import compress

    changed = type(small_net)().eval()
    weights = {n: torch.from_numpy(w.values) for n, w in compress(engine.graph, SETTING).items()}
    changed.load_state_dict(small_net.state_dict() | weights)
    assert engine.exact(SETTING).accuracy.value == accuracy_by_hand(changed, small_data)


def test_results_come_in_order_and_know_more_and_more(small_net: nn.Module, small_data: Dataset):
    fresh = CompressionEngine(small_net, small_data, first_images=120)
    results = list(fresh.stream(SETTING))
    seen = [result.accuracy.seen for result in results]
    assert seen == sorted(seen)
    assert seen[0] == pytest.approx(120, abs=20)
    assert results[0].latency is None
    assert all(result.latency is not None for result in results[1:])
    assert results[-1].accuracy.exact
    assert results[-1].class_accuracy is not None


def test_class_accuracy_averages_to_the_accuracy(engine: CompressionEngine, small_data: Dataset):
    result = engine.exact(SETTING)
    counts = np.bincount(small_data.labels)
    assert np.dot(result.class_accuracy, counts) / counts.sum() == pytest.approx(result.accuracy.value)


def test_an_exact_result_is_remembered(engine: CompressionEngine):
    first = engine.exact(SETTING)
    (again,) = engine.stream(SETTING)
    assert again == first


def test_the_same_setting_draws_the_same_sample(small_net: nn.Module, small_data: Dataset):
    firsts = [
        next(iter(CompressionEngine(small_net, small_data, first_images=120).stream(SETTING)))
        for _ in range(2)
    ]
    assert firsts[0].accuracy == firsts[1].accuracy


def test_the_layer_of_the_histogram_can_be_chosen(engine: CompressionEngine):
    assert engine.layers == ["conv.weight", "classifier.weight"]
    assert next(iter(engine.stream(SETTING))).histogram.layer == "classifier.weight"
    assert next(iter(engine.stream(SETTING, "conv.weight"))).histogram.layer == "conv.weight"
    with pytest.raises(UnknownNameError, match=r"no layer called 'stem'; the known ones are classifier"):
        next(iter(engine.stream(SETTING, "stem")))


def test_latency_is_measured_against_the_dense_model(engine: CompressionEngine):
    latency = engine.exact(CompressionSetting(0.9)).latency
    assert latency is not None
    assert latency.p50_ms > 0
    assert latency.dense_p50_ms > 0
    assert latency.ratio == pytest.approx(latency.p50_ms / latency.dense_p50_ms)
    assert latency.ratio_interval.low <= latency.ratio_interval.high


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        (CompressionSetting(), "This is the uncompressed model"),
        (CompressionSetting(0.5), "The zeros make the file smaller, not the model faster"),
        (CompressionSetting(bits=3), "The low-bit weights make the file smaller"),
        (CompressionSetting(0.5, 3), "The zeros and low-bit weights make the file smaller"),
    ],
)
def test_the_page_says_why_the_latency_stays(
    engine: CompressionEngine, setting: CompressionSetting, sentence: str
):
    assert engine.exact(setting).latency_note.startswith(sentence)


def test_a_model_of_other_classes_is_refused(small_net: nn.Module, small_data: Dataset):
    two = Dataset("two", small_data.images, small_data.labels % 2, ("a", "b"), 0.5, 0.3)
    with pytest.raises(ModelError, match=r"has shape \(3,\) for an image; expected one score a class"):
        CompressionEngine(small_net, two)


def test_images_of_another_size_are_refused(tmp_path, small_net: nn.Module):
    from course_lib.export.onnx_export import export_onnx

    path = export_onnx(small_net, torch.zeros(1, 1, 8, 8), tmp_path / "small.onnx")
    with pytest.raises(ModelError, match=r"takes input of shape .* and the batch has shape"):
        CompressionEngine(path, load_dataset("fashion-mnist").take(slice(50)))


def test_a_cancelled_stream_ends_after_its_first_result(small_net: nn.Module, small_data: Dataset):
    fresh = CompressionEngine(small_net, small_data, first_images=120)
    (only,) = fresh.stream(SETTING, cancelled=lambda: True)
    assert not only.accuracy.exact
    # Nothing of the cancelled work is remembered as exact.
    assert len(list(fresh.stream(SETTING))) > 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["depthwise", "vision_transformer"])
def test_the_engine_agrees_with_pytorch_and_the_card(name: str):
    engine = CompressionEngine(name, load_dataset("fashion-mnist"))
    assert engine.baseline_accuracy == load_card(name).accuracy
    own = CompressionEngine(load_pretrained(name), load_dataset("fashion-mnist"))
    assert own.exact(SETTING).accuracy == engine.exact(SETTING).accuracy
