"""Execution providers: which hardware or library computes ONNX Runtime's operators.

A provider takes the parts of a graph that it can compute, in the order of preference given; the CPU takes
what is left. Which of them exist is decided when the package is built: the plain one has the CPU, others
(onnxruntime-gpu, onnxruntime-openvino, onnxruntime-qnn …) have more. ONNX Runtime itself is silent when a
provider that was asked for does not start, and computes on the CPU: here that is refused, for a latency
would be taken for that of another device.
"""

from collections.abc import Sequence
from typing import Any

from course_lib.errors import ModelError, SettingError
from course_lib.registry import look_up

CPU = "CPUExecutionProvider"


def check_providers(names: Sequence[str]) -> None:
    """Refuse providers that do not exist, or not in the onnxruntime that is installed here.

    Raises
    ------
    SettingError
        If no provider is given, or this build of onnxruntime lacks one.
    UnknownNameError
        If there is no such provider at all; the message lists the known ones.
    """
    import onnxruntime

    if isinstance(names, str) or not names:
        raise SettingError(f'execution_providers is {names!r}; pass a tuple of names, such as ("{CPU}",).')
    known = {name: name for name in onnxruntime.get_all_providers()}
    present = onnxruntime.get_available_providers()
    for name in names:
        look_up(known, "execution provider", name)
        if name not in present:
            raise SettingError(
                f"This onnxruntime {onnxruntime.__version__} was built without {name}, it has "
                f"{', '.join(present)}; install the onnxruntime package for that hardware, or leave "
                "execution_providers out."
            )


def check_started(session: Any, names: Sequence[str]) -> None:
    """Refuse a session in which a provider that was asked for did not start.

    Raises
    ------
    ModelError
        With the providers that the session does use.
    """
    started = session.get_providers()
    for name in names:
        if name not in started:
            raise ModelError(
                f"{name} did not start on this machine (is its device or driver missing?) and ONNX Runtime "
                f"would compute with {', '.join(started)} instead; ask for that, or see to the device."
            )
