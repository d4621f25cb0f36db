import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from course_lib.data import Dataset
from course_lib.errors import DataError, ModelError, SettingError, UnknownNameError
from course_lib.explore import CalibrationEngine, CalibrationSetting, calibration
from course_lib.explore.calibration_result import BITS
from course_lib.explore.estimate import AccuracyEstimate
from course_lib.export.qdq import build_qdq
from course_lib.quantization import OBSERVERS, choose_qparams_from_range, fake_quantize, sqnr_db
from course_lib.quantization.models.config import ActivationScheme, QuantizationConfig
from course_lib.quantization.models.ptq import quantize_model
from course_lib.quantization.models.quantizers import QuantizedModel
from course_lib.runtimes.onnx_runtime import OnnxRuntime

SETTING = CalibrationSetting("minmax", 4, images=64)


@pytest.fixture(scope="module")
def training(small_data: Dataset) -> Dataset:
    images = np.random.default_rng(8).integers(0, 256, (100, 1, 8, 8), dtype=np.uint8)
    return Dataset("more noise", images, np.zeros(100, np.int64), small_data.class_names, 0.5, 0.3)


@pytest.fixture(scope="module")
def calibrated(small_net: nn.Module, small_data: Dataset, training: Dataset) -> CalibrationEngine:
    return CalibrationEngine(small_net, small_data, training, first_images=120)


def post_training(model: nn.Module, training: Dataset, setting: CalibrationSetting) -> QuantizedModel:
    scheme = ActivationScheme(setting.bits, setting.symmetric, setting.observer)
    batches = torch.from_numpy(training.inputs(slice(setting.images))).split(8)
    return quantize_model(model, batches, QuantizationConfig(activations=scheme))


def right(scores: np.ndarray, data: Dataset) -> float:
    return float((scores.argmax(1) == data.labels).mean())


def test_the_activations_are_those_that_post_training_quantization_quantizes(
    calibrated: CalibrationEngine, small_net: nn.Module, training: Dataset
) -> None:
    quantized = post_training(small_net, training, SETTING)
    assert [f"{name}_quantizer" for name in calibrated.tensors] == list(quantized.activation_qparams)


@pytest.mark.parametrize("observer", OBSERVERS)
@pytest.mark.parametrize(("bits", "symmetric"), [(8, False), (4, False), (3, True), (16, False)])
def test_grids_are_those_of_quantize_model(
    calibrated: CalibrationEngine,
    small_net: nn.Module,
    training: Dataset,
    observer: str,
    bits: int,
    symmetric: bool,
) -> None:
    setting = CalibrationSetting(observer, bits, symmetric, 64)
    quantized = post_training(small_net, training, setting)
    for tensor in calibrated.tensors:
        expected = quantized.activation_qparams[f"{tensor}_quantizer"]
        figures = next(iter(calibrated.stream(setting, tensor))).figures
        # The engine's activations come from ONNX Runtime: equal but for the last bits of float32, which may
        # move a value into the next of a histogram's bins.
        assert figures.scale == pytest.approx(float(expected.scale), rel=2e-3)


def test_the_accuracy_at_8_bits_is_that_of_the_exported_model(
    calibrated: CalibrationEngine, small_net: nn.Module, small_data: Dataset, training: Dataset
) -> None:
    setting = CalibrationSetting("minmax", 8, images=64)
    content = build_qdq(
        post_training(small_net, training, setting), torch.zeros(1, 1, 8, 8), weight_type="uint8"
    )
    deployed = OnnxRuntime().load(content).run(small_data.all_inputs)
    accuracy = calibrated.exact(setting).accuracy
    assert accuracy is not None
    assert accuracy.value == pytest.approx(right(deployed, small_data), abs=2 / 600)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("bits", BITS)
def test_narrow_grids_run_as_simulated(
    calibrated: CalibrationEngine,
    small_net: nn.Module,
    small_data: Dataset,
    training: Dataset,
    bits: int,
    symmetric: bool,
) -> None:
    """The oracle is the simulation in PyTorch, its biases on the grid of the sums, as kernels have."""
    setting = CalibrationSetting("mse", bits, symmetric, 64)
    graph, names = calibrated._graph, calibrated.tensors
    grids = {name: calibrated._grid(name, setting) for name in names}
    scores = OnnxRuntime().load(graph.with_grids(grids)).run(small_data.all_inputs)
    simulated = post_training(small_net, training, setting)
    inputs_of = {"conv": "x", "classifier": names[-1]}
    for path, tensor in inputs_of.items():
        layer = simulated.graph.get_submodule(path)
        step = float(grids[tensor].scale) * simulated.weight_qparams[path].scale.reshape(-1)
        assert isinstance(layer.bias, torch.Tensor)
        layer.bias = nn.Parameter((layer.bias / step).round() * step)
    for name in names:
        quantizer = simulated.graph.get_submodule(f"{name}_quantizer")
        quantizer.scale = torch.tensor(float(grids[name].scale))
    with torch.inference_mode():
        expected = simulated(torch.from_numpy(small_data.all_inputs)).numpy()
    # Values halfway between two codes may fall to either side: few scores differ, and by a step or so.
    assert np.mean(np.abs(scores - expected) > 1e-3 * np.abs(expected).max()) < 0.05
    assert np.mean(scores.argmax(1) == expected.argmax(1)) > 0.99


def test_a_file_of_8_bits_holds_integer_types_and_narrower_ones_clip_their_codes(
    calibrated: CalibrationEngine,
) -> None:
    def steps(bits: int, symmetric: bool = False) -> tuple[int, onnx.ModelProto]:
        setting = CalibrationSetting("minmax", bits, symmetric, 64)
        grids = {name: calibrated._grid(name, setting) for name in calibrated.tensors}
        model = onnx.load_model_from_string(calibrated._graph.with_grids(grids))
        onnx.checker.check_model(model)
        return sum(node.op_type == "Clip" for node in model.graph.node), model

    assert steps(8)[0] == 0
    assert steps(16)[0] == 0
    assert steps(8, symmetric=True)[0] == len(calibrated.tensors)  # the code 0 stays unused
    clips, model = steps(3)
    assert clips == len(calibrated.tensors)
    ends = {
        t.name: int(numpy_helper.to_array(t)) for t in model.graph.initializer if t.name.endswith("_high")
    }
    assert set(ends.values()) == {7}


def test_noise_by_hand(calibrated: CalibrationEngine) -> None:
    """x = [0, 0.9, 2, 5] on the grid 0, 1, 2, 3: rounding makes 0.01, clipping 4, the signal is 29.81."""
    from course_lib.explore.calibration_result import measure_range

    grid = choose_qparams_from_range(0.0, 3.0, 2, symmetric=False)
    figures = measure_range("minmax", grid, np.array([0, 0.9, 2, 5], np.float32))
    assert (figures.low, figures.high, figures.clipped, figures.values) == (0.0, 3.0, 1, 4)
    assert figures.clipping_db == pytest.approx(10 * np.log10(4 / 29.81), abs=1e-4)
    assert figures.rounding_db == pytest.approx(10 * np.log10(0.01 / 29.81), abs=1e-3)
    assert figures.sqnr_db == pytest.approx(10 * np.log10(29.81 / 4.01), abs=1e-4)


@pytest.mark.parametrize("observer", OBSERVERS)
def test_noises_add_up_to_the_sqnr_of_held_out_values(calibrated: CalibrationEngine, observer: str) -> None:
    setting = CalibrationSetting(observer, 3, images=8)
    tensor = calibrated.tensors[1]
    figures = next(iter(calibrated.stream(setting, tensor))).figures
    noise = 10 ** (figures.clipping_db / 10) + 10 ** (figures.rounding_db / 10)
    assert -10 * np.log10(noise) == pytest.approx(figures.sqnr_db)
    held_out = calibrated._watched[tensor].held_out
    approximation = fake_quantize(held_out, calibrated._grid(tensor, setting))
    assert figures.sqnr_db == pytest.approx(sqnr_db(held_out, approximation))


def test_held_out_images_do_not_calibrate(calibrated: CalibrationEngine) -> None:
    figures = next(iter(calibrated.stream(CalibrationSetting("minmax", 8, images=8), "relu"))).figures
    assert figures.clipped > 0  # which min-max never has on the images that it saw


def test_the_stream_tells_of_the_activation_first_and_of_the_model_last(
    calibrated: CalibrationEngine,
    small_net: nn.Module,
    small_data: Dataset,
    training: Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calibration, "calibration_graph", lambda source, shape: calibrated._graph)
    fresh = CalibrationEngine(small_net, small_data, training, first_images=120)
    results = list(fresh.stream(SETTING))
    first, last = results[0], results[-1]
    assert (first.accuracy, len(first.observers), first.exact) == (None, 1, False)
    assert last.exact
    assert [figures.observer for figures in last.observers] == list(OBSERVERS)
    assert [at.images for at in last.by_images] == [8, 16, 32, 64]
    estimates = [result.accuracy for result in results if result.accuracy]
    assert estimates[0].seen < estimates[-1].seen == 600
    assert all(result.figures == first.figures for result in results)
    (again,) = fresh.stream(SETTING)
    assert again == replace(last, accuracies={"minmax": last.accuracy})


def test_another_activation_keeps_the_accuracy_of_the_model(calibrated: CalibrationEngine) -> None:
    known = calibrated.exact(SETTING).accuracy
    assert isinstance(known, AccuracyEstimate)
    first = next(iter(calibrated.stream(SETTING, "x")))
    assert (first.tensor, first.accuracy) == ("x", known)
    other = next(iter(calibrated.stream(replace(SETTING, observer="percentile"))))
    assert other.accuracies["minmax"] == known


def test_a_cancelled_stream_ends_after_its_first_result(calibrated: CalibrationEngine) -> None:
    setting = CalibrationSetting("entropy", 5, images=32)
    (only,) = calibrated.stream(setting, cancelled=lambda: True)
    assert only.accuracy is None
    assert calibrated.exact(setting).exact


def test_more_images_widen_the_range_of_min_max_only_outwards(calibrated: CalibrationEngine) -> None:
    highs = [at.high for at in calibrated.exact(CalibrationSetting("minmax", images=64)).by_images]
    assert highs == sorted(highs)


def test_the_histogram_counts_every_calibration_value(calibrated: CalibrationEngine) -> None:
    result = next(iter(calibrated.stream(SETTING, "relu")))
    h = result.histogram
    assert sum(h.counts) == h.total == 64 * 6 * 36
    assert h.counts[0] >= h.zeros > 0
    assert h.edges[0] <= h.lowest <= h.highest <= h.edges[-1]
    assert len(h.edges) == len(h.counts) + 1 <= 97
    assert len(result.levels) == 16


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"bits": 1}, "bits is 1; expected one of 2, 3, 4, 5, 6, 7, 8, 16, because activations are stored"),
        ({"bits": 9}, "bits is 9; expected one of"),
        ({"images": 100}, "images is 100; expected one of 8, 16, 32, 64, 128, 256, 512, 1024"),
    ],
)
def test_a_setting_that_does_not_exist_is_refused(arguments: dict[str, int], sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        CalibrationSetting(**arguments)


def test_unknown_names_list_the_known_ones(calibrated: CalibrationEngine) -> None:
    with pytest.raises(UnknownNameError, match="no observer called 'min_max'; the known ones are entropy"):
        CalibrationSetting("min_max")
    with pytest.raises(UnknownNameError, match=r"no activation called 'conv'; the known ones are .*relu"):
        next(iter(calibrated.stream(SETTING, "conv")))


def test_more_images_than_there_are_get_one_sentence(calibrated: CalibrationEngine) -> None:
    with pytest.raises(SettingError, match="images is 128, but this engine calibrates with 64 at most"):
        next(iter(calibrated.stream(CalibrationSetting(images=128))))


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (np.ones((5, 1, 8, 8), np.uint8), "has 5 images to calibrate with; pass at least 8"),
        (np.ones((50, 1, 8, 8), np.uint8), "Every calibration input holds one and the same value"),
        (
            np.eye(9, dtype=np.uint8)[None].repeat(50, 0),
            r"images have shape \(1, 9, 9\) and those to measure",
        ),
    ],
)
def test_bad_calibration_images_get_one_sentence(
    small_net: nn.Module, small_data: Dataset, images: np.ndarray, sentence: str
) -> None:
    bad = Dataset("bad", images, np.zeros(len(images), np.int64), small_data.class_names, 0.5, 0.3)
    with pytest.raises(DataError, match=sentence):
        CalibrationEngine(small_net, small_data, bad)


def test_a_file_has_no_quantizers(small_data: Dataset, training: Dataset) -> None:
    with pytest.raises(ModelError, match=r"small\.onnx is an ONNX file, and quantizers are put between"):
        CalibrationEngine(Path("small.onnx"), small_data, training)


def test_a_model_of_other_classes_is_refused(
    calibrated: CalibrationEngine,
    small_net: nn.Module,
    small_data: Dataset,
    training: Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calibration, "calibration_graph", lambda source, shape: calibrated._graph)
    two = Dataset("two", small_data.images, small_data.labels % 2, ("a", "b"), 0.5, 0.3)
    with pytest.raises(
        ModelError, match=r"has shape \(3,\) for an image; expected one score a class, \(2,\)"
    ):
        CalibrationEngine(small_net, two, training)


def test_a_model_without_layers_is_refused(small_data: Dataset, training: Dataset) -> None:
    with pytest.raises(ModelError, match="has no convolution or linear layer to quantize"):
        CalibrationEngine(nn.Sequential(nn.Flatten()), small_data, training)


def test_infinite_activations_are_refused(small_data: Dataset, training: Dataset) -> None:
    class Overflowing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(64, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            # Beyond what random inputs reach and pixels do not: the exporter's examples pass.
            return self.linear(torch.exp(x.flatten(1) * 1000))

    with pytest.raises(ModelError, match="are NaN"):
        CalibrationEngine(Overflowing(), small_data, training)


@pytest.mark.slow
def test_a_zoo_network_needs_no_torch_once_it_is_exported() -> None:
    code = (
        "import sys\nfrom course_lib.data import load_dataset\n"
        "from course_lib.explore import CalibrationEngine, CalibrationSetting\n"
        "test, training = load_dataset('fashion-mnist'), load_dataset('fashion-mnist', 'train')\n"
        "engine = CalibrationEngine('tiny', test.take(slice(500)), training.take(slice(8)))\n"
        "print(engine.exact(CalibrationSetting(images=8)).accuracy.value, 'torch' in sys.modules)"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True) for _ in range(2)]
    accuracy, torch_loaded = runs[1].stdout.split()
    assert float(accuracy) > 0.8
    assert torch_loaded == "False", runs[1].stderr
