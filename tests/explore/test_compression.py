import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from course_lib.architectures import load_card, load_pretrained
from course_lib.benchmarking import Interval
from course_lib.data import Dataset, load_dataset
from course_lib.errors import ModelError, SettingError, UnknownNameError
from course_lib.explore import CompressionEngine, CompressionSetting

SETTING = CompressionSetting(0.4, 4)
HALF = CompressionSetting(0.2, 8, pruning_ratio=0.5, multiple_of=1)


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


def test_the_accuracy_without_channels_is_that_of_the_pruned_module(
    engine: CompressionEngine, small_net: nn.Module, small_data: Dataset
):
    from course_lib.pruning.importance import l1_norm
    from course_lib.pruning.selection import select_channels
    from course_lib.pruning.structure.dependency import DependencyGraph
    from course_lib.pruning.structure.removal import remove

    graph = DependencyGraph(small_net, torch.zeros(1, 1, 8, 8))
    pruned = remove(graph, select_channels(graph.groups, l1_norm(graph), 0.5))
    result = engine.exact(CompressionSetting(pruning_ratio=0.5, multiple_of=1))
    assert result.accuracy.value == accuracy_by_hand(pruned, small_data)
    # 3 of 6 filters of 9 weights at 36 pixels, and 3 · 36 of 6 · 36 columns for 3 classes.
    assert result.channels is not None
    assert (result.channels.kept, result.channels.total) == (3, 6)
    assert (result.channels.macs, result.channels.dense_macs) == (3 * 9 * 36 + 324, 6 * 9 * 36 + 648)
    assert result.size_bytes == 4 * sum(
        tensor.numel() for tensor in pruned.state_dict().values() if tensor.is_floating_point()
    )


def test_zeros_and_bits_are_put_into_what_is_left(engine: CompressionEngine):
    result = engine.exact(HALF)
    assert result.sparsity == pytest.approx(0.2, abs=0.02)
    assert result.size_bytes < engine.exact(CompressionSetting(0.2, 8)).size_bytes
    assert sum(result.histogram.counts) + result.histogram.zeros == 3 * 3 * 36
    assert 15 < result.sqnr_db < np.inf


def test_the_order_of_settings_does_not_matter(engine: CompressionEngine):
    first = engine.exact(HALF)
    engine.exact(CompressionSetting())
    engine.exact(CompressionSetting(pruning_ratio=0.3, multiple_of=1))
    assert engine.exact(HALF) == first


def test_an_importance_that_does_not_fit_and_too_high_a_ratio_are_refused(engine: CompressionEngine):
    assert engine.channels.result().importances == ("l1", "l2", "bn_scale", "random")
    with pytest.raises(SettingError, match=r"with max_ratio_per_group=0.9 and one channel left"):
        engine.exact(CompressionSetting(pruning_ratio=0.95))


def test_an_onnx_file_says_that_the_module_is_needed(tmp_path, small_net: nn.Module, small_data: Dataset):
    from course_lib.export.onnx_export import export_onnx

    path = export_onnx(small_net, torch.zeros(1, 1, 8, 8), tmp_path / "small.onnx")
    own = CompressionEngine(path, small_data, first_images=120)
    with pytest.raises(ModelError, match=r"from an .onnx file, .* pass the PyTorch module"):
        own.exact(HALF)
    assert own.exact(SETTING).channels is None


def test_an_engine_that_removes_no_channels_does_without_torch():
    code = (
        "import sys; from course_lib.data import load_dataset; "
        "from course_lib.explore import CompressionEngine, CompressionSetting; "
        "engine = CompressionEngine('tiny', load_dataset('fashion-mnist').take(slice(200))); "
        "engine.exact(CompressionSetting(0.5)); sys.exit('torch' in sys.modules)"
    )
    CompressionEngine("tiny", load_dataset("fashion-mnist").take(slice(200)))  # exported and kept by now
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_page_says_why_removed_channels_pay_and_when_they_do_not(engine: CompressionEngine):
    result = engine.exact(HALF)
    assert result.latency is not None
    faster, slower = (
        replace(result, latency=replace(result.latency, ratio_interval=Interval(low, high, 0.95)))
        for low, high in ((0.4, 0.6), (1.2, 1.4))
    )
    assert "A removed channel is gone from every tensor" in faster.latency_note
    assert "keep multiples of 8" in slower.latency_note
