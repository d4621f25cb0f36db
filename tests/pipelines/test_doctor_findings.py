import pytest

from course_lib.benchmarking.compare import Ratio
from course_lib.benchmarking.intervals import Interval
from course_lib.pipelines.doctor_file import QuantizedWeight
from course_lib.pipelines.doctor_findings import (
    about_cpu,
    about_fidelity,
    about_kernels,
    about_speed,
    expensive_layer,
    pairs_saturate,
)
from course_lib.pipelines.doctor_kernels import Kernel

AVX2, VNNI, ARM = ("fma", "avx2"), ("avx2", "avx_vnni"), ("asimd", "dotprod")
FULL = (QuantizedWeight("a", "uint8", "int8", 127, False), QuantizedWeight("b", "uint8", "int8", 60, False))


def ratio(value: float, low: float, high: float) -> Ratio:
    return Ratio(value, Interval(low, high, 0.95))


@pytest.mark.parametrize(("flags", "expected"), [(AVX2, True), (VNNI, False), (ARM, False), ((), False)])
def test_which_cpu_sums_pairs_in_16_bits(flags, expected):
    assert pairs_saturate(flags) is expected


def test_the_cpu_in_a_sentence():
    assert about_cpu(VNNI).startswith("This CPU has avx_vnni: instructions that multiply bytes")
    assert about_cpu(ARM).startswith("This CPU has dotprod: ")
    assert about_cpu(AVX2).startswith("This CPU has AVX2 and no VNNI: ")
    assert about_cpu(("avx",)).startswith("This CPU reports no instruction for int8 products")


def test_speed_says_faster_only_when_the_interval_does():
    assert about_speed(ratio(1.5, 1.4, 1.6), 8) == [
        "int8 is faster than float32 at batch 8 (1.50 times, 95 % interval 1.40–1.60)."
    ]
    assert "int8 is slower than float32 at batch 1" in about_speed(ratio(0.8, 0.7, 0.9), 1)[0]
    assert "no difference in speed" in about_speed(ratio(1.1, 0.9, 1.2), 1)[0]
    assert about_speed(None, 1) == ["Speed was not compared; pass the unquantized file as float_model."]


def test_a_layer_that_takes_more_time_than_its_macs_deserve_is_named():
    stem = Kernel("stem", "QLinearConv", "integer", 10, 60.0)
    rest = Kernel("rest", "QLinearConv", "integer", 90, 40.0)
    assert expensive_layer([stem, rest]) == stem
    (sentence,) = [text for text in about_kernels([stem, rest], 1, 1.0) if "stem" in text]
    assert sentence == (
        "The layer stem takes 60% of the time for 10% of the MACs, so its integer kernel does not fit its "
        "shape; keep it in floating point with kept_in_float=('stem',), and measure again."
    )
    assert expensive_layer([rest, Kernel("other", "QLinearConv", "integer", 90, 60.0)]) is None
    assert expensive_layer([]) is None


def test_what_stays_in_float_and_where_the_time_goes():
    kernels = [
        Kernel("conv", "QLinearConv", "integer", 75, 2.0),
        Kernel("scores", "MatMul", "float", 25, 2.0),
        Kernel("soft", "Softmax", "float", 0, 5.0),
        Kernel("q", "QuantizeLinear", "conversion", 0, 1.0),
    ]
    assert about_kernels(kernels, 1, p50_ms=1.0) == [
        "Integer kernels compute 75% of the MACs.",
        "In floating point stay scores (MatMul).",
        "At batch 1 multiplying takes 40% of the profiled time, quantizing, dequantizing and changing "
        "layouts 10% (1 of 4 kernels), and everything else 50% (most of it Softmax 50%).",
    ]
    assert "0.0100 ms, 2.50 µs for each of 4 kernels" in about_kernels(kernels, 1, p50_ms=0.01)[-1]


def fidelity(flags, simulated, deployed, between, weights=FULL):
    ways = {"simulated": simulated, "int8": deployed}
    return about_fidelity(weights, flags, ways, {"int8": between, "int8, U8 weights": 45.0})


def test_saturation_is_named_with_the_remedies_measured():
    first, second = fidelity(AVX2, 44.0, 29.0, 30.0)
    assert first == (
        "What runs is not what was simulated: the SQNR between the two is 30.0 dB, and against float32 it is "
        "15.0 dB lower as deployed."
    )
    assert second.startswith(
        "Pair sums saturate in up to 1 layers (a); measured against the simulation: 45 dB with int8, U8 "
        "weights."
    )
    assert 'weight_type="uint8"' in second
    assert "OnnxRuntime(precise_int8=True)" in second
    assert "7 bits" in second


def test_a_faithful_run_on_vnni_still_warns_about_other_machines():
    first, second = fidelity(VNNI, 44.0, 44.0, 60.0)
    assert first.startswith("What runs is what was simulated: ")
    assert first.endswith("against float32 both have the same.")
    assert "1 of 2 weights are U8 × S8 with codes beyond ±64" in second
    assert len(fidelity(VNNI, 44.0, 44.0, 60.0, weights=FULL[1:])) == 1
    assert len(fidelity(AVX2, 44.0, 43.5, 60.0)) == 1


def test_without_saturation_it_is_not_blamed():
    assert "It is not saturation" in fidelity(VNNI, 44.0, 29.0, 30.0)[1]


def test_without_a_float_model_the_simulation_is_the_measure():
    assert "What runs is what was simulated" in fidelity(AVX2, None, None, 41.0)[0]
    assert "What runs is not what was simulated" in fidelity(AVX2, None, None, 39.0)[0]
