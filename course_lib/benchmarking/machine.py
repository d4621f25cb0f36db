"""The machine a number came from: without it a latency means nothing."""

import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil

from course_lib.benchmarking.checks import require_count

PACKAGES = ("torch", "onnxruntime", "numpy", "onnx")

CPU_FLAGS = (
    *("fma", "f16c", "avx", "avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("avx_vnni", "avx_vnni_int8", "amx_int8", "amx_bf16"),
    *("neon", "asimd", "dotprod", "i8mm", "fp16", "bf16", "sve", "sve2"),
)
"""Instruction sets that change how fast inference runs: wide vectors, int8 dot products, matrix tiles."""

_OTHER_NAMES = {
    "avx512vnni": "avx512_vnni",
    "avxvnni": "avx_vnni",
    "asimddp": "dotprod",
    "asimdhp": "fp16",
}


@dataclass(frozen=True)
class MachineRecord:
    """What a measurement ran on and with.

    ``cpu_flags`` holds only those of `CPU_FLAGS` that the processor reports. ``physical_cores`` is None
    where the system does not tell. ``versions`` maps each installed package of `PACKAGES` to its version.
    ``threads`` is what the measured call was set up with; ``seed`` fed whatever was random.
    """

    cpu: str
    cpu_flags: tuple[str, ...]
    physical_cores: int | None
    logical_cores: int
    memory_bytes: int
    os: str
    python: str
    versions: Mapping[str, str]
    threads: int
    seed: int

    def as_dict(self) -> dict[str, Any]:
        """Return the record as plain values that `json.dumps` takes."""
        return asdict(self)

    def summary(self) -> str:
        """Return the record as one line for the foot of a table."""
        packages = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        flags = " ".join(self.cpu_flags) or "no listed CPU flags"
        return (
            f"{self.cpu} ({flags}), {self.logical_cores} logical cores, {self.memory_bytes / 1e9:.0f} GB, "
            f"{self.os}, Python {self.python}, {packages}; threads {self.threads}, seed {self.seed}"
        )


def record_machine(threads: int = 1, seed: int = 0) -> MachineRecord:
    """Describe this machine; the first call takes about a second, later ones microseconds.

    Parameters
    ----------
    threads
        How many threads the measured call uses, at least 1. It is recorded, not set: each runtime fixes its
        own number when its session is made.
    seed
        The seed of whatever was random in the measurement, at least 0.

    Raises
    ------
    SettingError
        If either number is not a whole number in its range.
    """
    require_count("threads", threads, 1)
    require_count("seed", seed, 0)
    return replace(_machine_once(), threads=threads, seed=seed)


def select_flags(reported: Iterable[str]) -> tuple[str, ...]:
    """Return those of `CPU_FLAGS` among the reported ones; systems spell some of them differently."""
    known = {_OTHER_NAMES.get(flag, flag) for flag in reported}
    return tuple(flag for flag in CPU_FLAGS if flag in known)


@cache
def _machine_once() -> MachineRecord:
    # py-cpuinfo starts a process of its own and takes about a second: only when a record is wanted.
    from cpuinfo import get_cpu_info

    info = get_cpu_info()
    return MachineRecord(
        cpu=info.get("brand_raw") or platform.processor() or platform.machine(),
        cpu_flags=select_flags(info.get("flags", ())),
        physical_cores=psutil.cpu_count(logical=False),
        logical_cores=psutil.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        os=platform.platform(),
        python=platform.python_version(),
        versions=_installed_versions(PACKAGES),
        threads=1,
        seed=0,
    )


def _installed_versions(packages: Iterable[str]) -> dict[str, str]:
    # The metadata on disk tells the version without importing torch or a runtime.
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
