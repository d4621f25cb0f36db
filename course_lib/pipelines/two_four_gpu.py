"""2:4 sparsity on a GPU with sparse tensor cores, where half of the multiplications really are left out.

Since NVIDIA's Ampere (compute capability 8.0) tensor cores can skip two of each four weights, in half
precision twice as many products a second on paper (Mishra et al. 2021). The weights are packed once, into
the half that is kept and 2 bits for the place of each.
"""

from collections.abc import Sequence

import torch

from course_lib.benchmarking import LatencyComparison, compare_latency
from course_lib.errors import MeasurementError
from course_lib.pruning import apply_mask, n_m_mask

AMPERE = (8, 0)
SIZES = (1024, 2048, 4096, 8192)


def why_no_two_four() -> str | None:
    """Return None where there are sparse tensor cores, or one sentence that says what is missing."""
    if not torch.cuda.is_available():
        return (
            "2:4 sparsity was not timed on a GPU: this PyTorch sees no CUDA device, and the tensor cores "
            "that skip zeros are in NVIDIA GPUs from Ampere on."
        )
    found = torch.cuda.get_device_capability()
    if found < AMPERE:
        return (
            f"2:4 sparsity was not timed on the GPU: {torch.cuda.get_device_name()} has compute capability "
            f"{found[0]}.{found[1]}, and the tensor cores that skip zeros came with 8.0."
        )
    return None


def measure_two_four(
    sizes: Sequence[int] = SIZES, *, columns: int = 4096, runs: int = 40, seed: int = 0
) -> dict[int, LatencyComparison]:
    """Return size → latency of a 2:4 matrix (n × n) times a dense one, packed against dense, half precision.

    Parameters
    ----------
    sizes
        Multiples of 128.
    columns
        Of the dense matrix, a multiple of 128.

    Raises
    ------
    MeasurementError
        If there are no sparse tensor cores; the message says what is missing.
    """
    missing = why_no_two_four()
    if missing:
        raise MeasurementError(missing)
    generator = torch.Generator("cuda").manual_seed(seed)
    return {size: _compare(size, columns, runs, seed, generator) for size in sizes}


def _compare(size: int, columns: int, runs: int, seed: int, generator: torch.Generator) -> LatencyComparison:
    weight, x = (
        torch.randn(size, width, device="cuda", dtype=torch.float16, generator=generator)
        for width in (size, columns)
    )
    pruned = apply_mask(weight, n_m_mask(weight, 2, 4))
    packed = torch.sparse.to_sparse_semi_structured(pruned)

    def timed(matrix: torch.Tensor) -> None:
        torch.mm(matrix, x)
        torch.cuda.synchronize()

    calls = {"dense": lambda: timed(weight), "2:4": lambda: timed(packed)}
    return compare_latency(calls, baseline="dense", runs=runs, seed=seed)
