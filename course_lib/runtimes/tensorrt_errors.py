"""Why TensorRT does not build or load something, as one sentence with its own reason."""

import re
from collections.abc import Iterable
from typing import Any

from course_lib.runtimes.tensorrt_logger import Message

UNKNOWN_OPERATOR = {"UNSUPPORTED_NODE"}
NO_PLUGIN = "Plugin not found"
SIDE_ISSUE = "checkMacros.cpp"
"""Where there is no driver, every error is followed by a second one that says so; it is not the reason."""


def explain_parser_errors(parser: Any, target: str) -> str:
    """Return one sentence for the first node that the ONNX parser does not take."""
    error = parser.get_error(0)
    operator, node = error.node_operator(), error.node_name()
    reason = core_of(error.desc())
    if not operator:
        return (
            f"{target} cannot read the model ({reason}); "
            "check it with onnx.checker.check_model, or export it again with export_onnx."
        )
    if error.code().name in UNKNOWN_OPERATOR or NO_PLUGIN in reason:
        return (
            f"The node {node!r} uses the operator {operator}, which {target} does not have; "
            "replace it in the model, or run the model with ONNX Runtime."
        )
    return (
        f"{target} does not take the node {node!r} with the operator {operator} ({reason}); "
        "replace it in the model, or run the model with ONNX Runtime."
    )


def explain_build(messages: Iterable[Message], target: str) -> str:
    """Return one sentence for a build that gave no engine."""
    return (
        f"{target} does not build this model ({reason_in(messages)}); "
        "build it in another precision or for another compute capability, or run it with ONNX Runtime."
    )


def reason_in(messages: Iterable[Message]) -> str:
    """Return TensorRT's own reason: its first error."""
    errors = [message.text for message in messages if message.severity in ("ERROR", "INTERNAL_ERROR")]
    main = [text for text in errors if SIDE_ISSUE not in text] or errors
    return core_of(main[0]) if main else "it gives no reason"


def core_of(text: str) -> str:
    """Return what an error says, without names of functions, codes and places in TensorRT's source."""
    lines = [line for line in text.strip().splitlines() if SIDE_ISSUE not in line] or [text.strip()]
    core = lines[-1]
    core = re.sub(r"^\w+::\w+: ", "", core)
    core = re.sub(r"^Error Code \d+: ", "", core)
    core = re.sub(r"^[\w ]+ \((.*)\)$", r"\1", core)  # the kind of error, around what it is
    core = re.sub(r"^\[\S+: \w+\] ", "", core)
    core = re.sub(r"\.? In \w+ at \S+\)?$", "", core)
    return core.strip().rstrip(".") or "it gives no reason"
