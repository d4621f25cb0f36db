"""Device classes by their computing power, and microcontrollers by their memory: claims, not measurements.

Nothing here was measured in this course. A class says what answer times are claimed for devices of that
power; a microcontroller's record says how much memory its source gives it. Every record names its source,
and results that use one say so.

A microcontroller has two memories. Flash keeps the program and the weights and is only read; SRAM holds the
activations (`course_lib.edge.memory_plan`) and everything else that changes. Data sheets count in units of
1,024 bytes, so that "256 KB" are 262,144 bytes; tables of this course count decimally and show 262 kB.

Worked example: a network of 40,000 int8 weights and a peak of 30,000 int8 activations takes 40 kB of flash
and 30 kB of SRAM. Of the microcontrollers below all but the Cortex-M3 with 20 KB of SRAM have room for it,
before the program itself is counted.
"""

import math
from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, kw_only=True)
class DeviceClass:
    """A range of computing power, with the answer time that is claimed for it.

    Attributes
    ----------
    tops_low, tops_high
        From (included) and to (excluded) how many tera operations a second; inf where there is no end.
    latency_low_ms, latency_high_ms
        The claimed tier, from (included) to (excluded).
    """

    name: str
    title: str
    tops_low: float
    tops_high: float
    latency_low_ms: float
    latency_high_ms: float
    source: str

    @property
    def tier(self) -> str:
        """The claimed answer time in words."""
        if self.latency_low_ms == 0:
            return f"under {self.latency_high_ms:g} ms"
        if math.isinf(self.latency_high_ms):
            return f"{self.latency_low_ms:g} ms or more"
        return f"{self.latency_low_ms:g} to {self.latency_high_ms:g} ms"

    def claim(self) -> str:
        """Return what is claimed, and by whom, in one sentence."""
        return f"The tier of {self.title}, {self.tier}, is a claim ({self.source}), not a measurement."


@dataclass(frozen=True, kw_only=True)
class Microcontroller:
    """A microcontroller's memory in bytes, as its source states it.

    ``sram_bytes`` and ``flash_bytes`` are all there is; the program, the stack and the runtime need a part of
    both.
    """

    name: str
    title: str
    sram_bytes: int
    flash_bytes: int
    source: str

    def claim(self) -> str:
        """Return where the figures come from, and what else needs the memory, in one sentence."""
        return (
            f"The memory of the {self.title} is stated by its source ({self.source}) and not measured; its "
            "program, stack and runtime need a part of it."
        )


_COURSE = "source material of the course, device classes and their tiers"
_MCUNET = "Lin et al., MCUNet, 2020"

DEVICE_CLASSES: dict[str, DeviceClass] = {
    each.name: each
    for each in (
        DeviceClass(
            name="edge_server",
            title="devices of 32 TOPS and more",
            tops_low=32,
            tops_high=math.inf,
            latency_low_ms=0,
            latency_high_ms=10,
            source=_COURSE,
        ),
        DeviceClass(
            name="embedded",
            title="devices of 1 to 10 TOPS",
            tops_low=1,
            tops_high=10,
            latency_low_ms=10,
            latency_high_ms=100,
            source=_COURSE,
        ),
        DeviceClass(
            name="constrained",
            title="devices under 1 TOPS",
            tops_low=0,
            tops_high=1,
            latency_low_ms=100,
            latency_high_ms=math.inf,
            source=_COURSE,
        ),
    )
}
"""Name → class, the most powerful first. Between 10 and 32 TOPS the source material names none."""

MICROCONTROLLERS: dict[str, Microcontroller] = {
    each.name: each
    for each in (
        Microcontroller(
            name="cortex_m3_20k",
            title="STM32F103C8 (Cortex-M3)",
            sram_bytes=20 * KIB,
            flash_bytes=64 * KIB,
            source="STMicroelectronics, data sheet of the STM32F103x8",
        ),
        Microcontroller(
            name="cortex_m4_256k",
            title="STM32F412 (Cortex-M4)",
            sram_bytes=256 * KIB,
            flash_bytes=1 * MIB,
            source=_MCUNET,
        ),
        Microcontroller(
            name="cortex_m7_320k",
            title="STM32F746 (Cortex-M7)",
            sram_bytes=320 * KIB,
            flash_bytes=1 * MIB,
            source=_MCUNET,
        ),
        Microcontroller(
            name="cortex_m7_512k",
            title="STM32H743 (Cortex-M7)",
            sram_bytes=512 * KIB,
            flash_bytes=2 * MIB,
            source=_MCUNET,
        ),
    )
}
"""Name → microcontroller, the smallest first."""


def class_of(tops: float) -> DeviceClass | None:
    """Return the class of a device of this computing power, or None where the source material names none."""
    return next((each for each in DEVICE_CLASSES.values() if each.tops_low <= tops < each.tops_high), None)
