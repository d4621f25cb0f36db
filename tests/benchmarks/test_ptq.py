"""The benchmark of post-training quantization: its keys, its comparisons, and what it says without NNCF."""

from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import ptq, ptq_peers
from benchmarks.ptq import Effort, low_bit_figures, w8a8_figures, weight_type
from course_lib.data import load_dataset
from course_lib.training.evaluate import Examples

EFFORT = Effort(200, 128, 32, "nearest", ("tiny",))


@pytest.fixture
def images() -> np.ndarray:
    return load_dataset("fashion-mnist", "train").inputs(slice(EFFORT.calibration_images))


@pytest.fixture
def examples() -> Examples:
    validation = load_dataset("fashion-mnist", "validation")
    return Examples(validation.inputs(slice(EFFORT.test_images)), validation.labels[: EFFORT.test_images])


def test_drops_are_points_of_accuracy() -> None:
    labels = np.array([0, 1, 1, 0])
    expected = np.array([[3, 0], [0, 3], [0, 3], [0, 3]], np.float32)  # the last one is wrong
    scores = np.array([[3, 0], [3, 0], [3, 0], [3, 0]], np.float32)  # two lost, one won
    assert ptq._against(expected, scores, labels)["drop_pt"] == 25.0


def test_gains_are_of_adaround_over_nearest() -> None:
    def both(adaround: float, nearest: float) -> dict[str, dict[str, float]]:
        given = (("adaround", adaround), ("nearest", nearest))
        return {name: {"sqnr_db": 10 * value, "accuracy": value} for name, value in given}

    gains = ptq._gains({"3": both(0.9, 0.2), "2": both(0.75, 0.25)})
    assert gains == {"adaround_w3_gain_db": 7.0, "adaround_w2_gain_pt": 50.0}


@pytest.mark.parametrize(
    ("flags", "expected"), [(("avx2",), "uint8"), (("avx2", "avx512_vnni"), "int8"), (("neon",), "int8")]
)
def test_weights_are_unsigned_where_pairs_saturate(
    flags: tuple[str, ...], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ptq, "record_machine", lambda: SimpleNamespace(cpu_flags=flags))
    assert weight_type() == expected


def test_without_nncf_onnxruntime_is_the_only_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ptq_peers, "find_spec", lambda name: None)
    assert list(ptq_peers.peers()) == ["onnxruntime"]
    assert 'pip install -e ".[peers]"' in ptq_peers.HOW_TO_GET_NNCF


@pytest.mark.slow
def test_the_figures_of_a_network(images: np.ndarray, examples: Examples) -> None:
    figures = w8a8_figures("tiny", EFFORT, images, examples)
    assert figures["best_peer_drop_pt"] == min(peer["drop_pt"] for peer in figures["peers"].values())
    assert set(figures["peers"]) == set(ptq_peers.peers())
    assert figures["sqnr_db"] > 20
    assert figures["sqnr_db"] == pytest.approx(figures["sqnr_simulated_db"], abs=1)


@pytest.mark.slow
def test_fewer_bits_cost_more(
    images: np.ndarray, examples: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    methods = {name: ptq.METHODS[name] for name in ("nearest", "bias_corrected", "gptq")}
    monkeypatch.setattr(ptq, "METHODS", methods)
    figures = low_bit_figures("tiny", EFFORT, images, examples)
    assert list(figures) == ["4", "3", "2"]
    for method in methods:
        four, three, two = (figures[bits][method]["sqnr_db"] for bits in ("4", "3", "2"))
        assert four > three > two
