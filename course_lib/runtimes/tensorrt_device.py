"""Which NVIDIA GPU is here, and which GPUs an engine is for.

An engine begins with a header of 64 bytes that says which version of TensorRT for RTX wrote it and for which
compute capabilities. NVIDIA does not document it; this is what version 1.7 writes, little-endian:

======  =============================================================================
0–3     the letters "vtrt"
24–27   the version, one byte for each of its four numbers
28–31   the letters "vtrt"
32–35   a sum of 1 for SM75, 2 for SM80, 4 for SM86, 8 for SM89, 16 for SM120, 32 for SM121
======  =============================================================================

A header of another form is no error: it says nothing then.
"""

from dataclasses import dataclass

MARK = b"vtrt"
HEADER_BYTES = 64
CAPABILITIES = ("SM75", "SM80", "SM86", "SM89", "SM120", "SM121")


@dataclass(frozen=True)
class EngineHeader:
    """What an engine says of itself; ``version`` is that of TensorRT for RTX, such as "1.7.1.116"."""

    version: str
    compute_capabilities: tuple[str, ...]


def read_header(content: bytes) -> EngineHeader | None:
    """Return the header of an engine, or None if it has another form.

    >>> start = b"vtrt" + bytes(20) + bytes([1, 7, 1, 116]) + b"vtrt" + bytes([8, 0, 0, 0]) + bytes(28)
    >>> read_header(start)
    EngineHeader(version='1.7.1.116', compute_capabilities=('SM89',))
    """
    if len(content) < HEADER_BYTES or content[:4] != MARK or content[28:32] != MARK:
        return None
    mask = int.from_bytes(content[32:36], "little")
    known = tuple(name for bit, name in enumerate(CAPABILITIES) if mask >> bit & 1)
    return EngineHeader(".".join(map(str, content[24:28])), known) if known else None


def gpu_capability() -> str | None:
    """Return the compute capability of the first NVIDIA GPU, such as "SM89", or None without one."""
    import torch

    if not torch.cuda.is_available():
        return None
    major, minor = torch.cuda.get_device_capability(0)
    return f"SM{major}{minor}"


def why_no_gpu(wanted: tuple[str, ...] = ()) -> str | None:
    """Return None if an engine runs on this machine, and otherwise one sentence.

    Parameters
    ----------
    wanted
        The compute capabilities that it is built for, such as ("SM89",); empty if nothing is known of them.
    """
    import torch

    here = gpu_capability()
    if here is None:
        if torch.version.cuda is None:
            return (
                "Engines run on an NVIDIA GPU and this PyTorch is built for the CPU only; copy the engine to "
                "a machine with such a GPU, its driver and PyTorch for CUDA."
            )
        return (
            "Engines run on an NVIDIA GPU and no driver for one answers here; copy the engine to a machine "
            "with such a GPU and its driver."
        )
    if wanted and here not in wanted:
        return (
            f"An engine for {' and '.join(wanted)} does not run on the GPU here, which is {here}; "
            f"build it again for {here}."
        )
    return None
