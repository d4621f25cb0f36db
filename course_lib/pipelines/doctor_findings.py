"""The doctor's sentences: why int8 is or is not faster on a CPU, whether what runs is what was simulated.

Each function turns measured facts into sentences and measures nothing itself, so every rule can be tried for
any CPU.
"""

from collections.abc import Collection, Mapping, Sequence

from course_lib.benchmarking.compare import Ratio
from course_lib.benchmarking.number_text import significant
from course_lib.pipelines.doctor_file import QuantizedWeight
from course_lib.pipelines.doctor_kernels import Kernel, share_of_macs, share_of_time

INT8_DOT_PRODUCTS = ("avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8", "dotprod", "i8mm")
"""CPU flags of instructions that multiply bytes and add the products to sums of 32 bits in one step."""

CLOSE_DB = 1.0
"""Deployment may cost this much of the simulation's SQNR before it is reported as a fault."""

EQUAL_DB = 40.0
"""Without a float model to compare with: the SQNR between deployed and simulated that counts as equal."""

EXPENSIVE = 2.0
"""A layer is named when its share of the time is above this many times its share of the MACs."""

WORTH_NAMING = 0.1
"""And only above this share of the time."""

TINY_US = 5.0
"""Below this time for one kernel, starting it weighs as much as what it computes."""

NAMED = 4
"""So many layers are named at most."""


def pairs_saturate(flags: Collection[str]) -> bool:
    """Return whether this CPU sums U8 × S8 products in pairs of 16 bits: AVX2 without VNNI."""
    return "avx2" in flags and not any(flag in flags for flag in INT8_DOT_PRODUCTS)


def about_cpu(flags: Collection[str]) -> str:
    """Say what the CPU has for int8."""
    found = [flag for flag in INT8_DOT_PRODUCTS if flag in flags]
    if found:
        return (
            f"This CPU has {', '.join(found)}: instructions that multiply bytes and sum the products in "
            "32 bits, which cannot saturate."
        )
    if "avx2" in flags:
        return (
            "This CPU has AVX2 and no VNNI: it multiplies bytes and sums them with three instructions where "
            "VNNI has one, and sums pairs of U8 × S8 products in 16 bits, which can saturate."
        )
    return "This CPU reports no instruction for int8 products, so integers save memory and hardly time."


def about_speed(ratio: Ratio | None, batch: int) -> list[str]:
    """Say whether int8 is faster; ``ratio`` is float32's median latency divided by int8's."""
    if ratio is None:
        return ["Speed was not compared; pass the unquantized file as float_model."]
    times = f"{significant(ratio.value)} times, 95 % interval {ratio.interval.text()}"
    if ratio.interval.low > 1:
        return [f"int8 is faster than float32 at batch {batch} ({times})."]
    if ratio.interval.high < 1:
        return [f"int8 is slower than float32 at batch {batch} ({times} as fast)."]
    return [f"At batch {batch} no difference in speed between int8 and float32 was seen ({times})."]


def about_kernels(kernels: Sequence[Kernel], batch: int, p50_ms: float) -> list[str]:
    """Say what runs in integers, what does not, and what takes the time; ``p50_ms`` is that of one run."""
    integer_macs = share_of_macs(kernels, "integer")
    sentences = [f"Integer kernels compute {integer_macs:.0%} of the MACs."]
    in_float = sorted(
        (kernel for kernel in kernels if kernel.kind == "float" and kernel.macs), key=lambda each: -each.macs
    )
    if in_float:
        sentences.append(f"In floating point stay {_listed(in_float)}.")
    sentences += _expensive_layers(kernels)
    converting = [kernel for kernel in kernels if kernel.kind == "conversion"]
    moving = [kernel for kernel in kernels if kernel.kind != "conversion" and not kernel.macs]
    multiplying = [kernel for kernel in kernels if kernel.macs]
    sentences.append(
        f"At batch {batch} multiplying takes {share_of_time(kernels, multiplying):.0%} of the profiled time, "
        f"quantizing, dequantizing and changing layouts {share_of_time(kernels, converting):.0%} "
        f"({len(converting)} of {len(kernels)} kernels), and everything else "
        f"{share_of_time(kernels, moving):.0%}{_largest(kernels, moving)}."
    )
    each_us = 1000 * p50_ms / len(kernels)
    if each_us < TINY_US:
        sentences.append(
            f"A run takes {significant(p50_ms)} ms, {significant(each_us)} µs for each of {len(kernels)} "
            "kernels: so little that starting a kernel counts, and int8 adds kernels; a larger batch or "
            "model gains more."
        )
    return sentences


def about_fidelity(
    weights: Sequence[QuantizedWeight],
    flags: Collection[str],
    sqnr_db: Mapping[str, float | None],
    deployed_db: Mapping[str, float],
) -> list[str]:
    """Say whether what runs equals what was simulated, and what would help.

    Parameters
    ----------
    sqnr_db
        Way of running → SQNR against the float model; None where there is none.
    deployed_db
        Way of running → SQNR against the simulation. Both have ``"int8"``; the first ``"simulated"`` too.
    """
    loss_db = _loss_db(sqnr_db)
    faithful = deployed_db["int8"] >= EQUAL_DB if loss_db is None else loss_db <= CLOSE_DB
    risky = [weight.layer for weight in weights if weight.may_saturate]
    if faithful:
        sentences = [f"What runs is what was simulated: {_between(deployed_db['int8'], loss_db)}."]
    else:
        sentences = [f"What runs is not what was simulated: {_between(deployed_db['int8'], loss_db)}."]
        sentences += _remedies(risky, flags, deployed_db)
    if risky and not pairs_saturate(flags):
        sentences.append(
            f"{len(risky)} of {len(weights)} weights are U8 × S8 with codes beyond ±64, which is exact on "
            "this CPU and can saturate on one with AVX2 and no VNNI; look again on the machine that will run "
            "it."
        )
    return sentences


def expensive_layer(kernels: Sequence[Kernel]) -> Kernel | None:
    """Return the integer kernel that takes far more of the time than of the MACs, if there is one.

    Such is a convolution of one input channel: it gathers single bytes and multiplies nine at a time.
    """
    total = sum(kernel.macs for kernel in kernels)
    suspects = [kernel for kernel in kernels if kernel.kind == "integer" and kernel.macs]
    worst = max(suspects, key=lambda kernel: kernel.p50_us, default=None)
    if worst is None:
        return None
    time = share_of_time(kernels, [worst])
    return worst if time >= WORTH_NAMING and time > EXPENSIVE * worst.macs / total else None


def _expensive_layers(kernels: Sequence[Kernel]) -> list[str]:
    worst = expensive_layer(kernels)
    if worst is None:
        return []
    time, macs = share_of_time(kernels, [worst]), worst.macs / sum(kernel.macs for kernel in kernels)
    return [
        f"The layer {worst.layer} takes {time:.0%} of the time for {macs:.0%} of the MACs, so its integer "
        f"kernel does not fit its shape; keep it in floating point with kept_in_float=({worst.layer!r},), "
        "and measure again."
    ]


def _remedies(risky: Sequence[str], flags: Collection[str], deployed_db: Mapping[str, float]) -> list[str]:
    if not (risky and pairs_saturate(flags)):
        return [
            "It is not saturation, since no layer multiplies U8 by full-range S8 in 16-bit pairs here; "
            "compare layer by layer, from the input on."
        ]
    measured = ", ".join(
        f"{db:.0f} dB with {way}" for way, db in deployed_db.items() if way not in ("int8", "simulated")
    )
    return [
        f"Pair sums saturate in up to {len(risky)} layers ({', '.join(risky[:NAMED])}"
        f"{', …' if len(risky) > NAMED else ''}); measured against the simulation: {measured}. Store the "
        'weights with export_qdq(…, weight_type="uint8"), load with OnnxRuntime(precise_int8=True), or '
        "quantize weights to 7 bits, which keeps codes within ±64."
    ]


def _loss_db(sqnr_db: Mapping[str, float | None]) -> float | None:
    simulated, deployed = sqnr_db["simulated"], sqnr_db["int8"]
    if simulated is None or deployed is None:
        return None
    return 0.0 if simulated == deployed else simulated - deployed


def _between(deployed_db: float, loss_db: float | None) -> str:
    text = f"the SQNR between the two is {deployed_db:.1f} dB"
    if loss_db is None:
        return text
    if abs(loss_db) < 0.05:
        return f"{text}, and against float32 both have the same"
    change = f"{loss_db:.1f} dB lower" if loss_db > 0 else f"{-loss_db:.1f} dB higher"
    return f"{text}, and against float32 it is {change} as deployed"


def _listed(kernels: Sequence[Kernel]) -> str:
    names = [f"{kernel.layer} ({kernel.operator})" for kernel in kernels[:NAMED]]
    more = len(kernels) - len(names)
    return ", ".join(names) + (f" and {more} more that multiply" if more else "")


def _largest(kernels: Sequence[Kernel], chosen: Sequence[Kernel]) -> str:
    by_operator: dict[str, list[Kernel]] = {}
    for kernel in chosen:
        by_operator.setdefault(kernel.operator, []).append(kernel)
    shares = {operator: share_of_time(kernels, group) for operator, group in by_operator.items()}
    top = sorted(shares, key=lambda operator: -shares[operator])[:3]
    listed = ", ".join(f"{operator} {shares[operator]:.0%}" for operator in top)
    return f" (most of it {listed})" if top else ""
