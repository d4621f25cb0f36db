"""OpenVINO's error texts, turned into one sentence with the way out."""

import re
from pathlib import Path

import onnx

from course_lib.runtimes.onnx_content import node_named

UNKNOWN = re.compile(r"No conversion rule found for operations: ([\w.:]+?)(?:-(\d+))?[,\s]")
"""Group 1 holds the operator, with its domain in front if that is not ONNX's own; group 2 the opset."""


def explain_translation_error(error: Exception, graph: onnx.ModelProto) -> str:
    """Return one sentence for an ONNX graph that OpenVINO does not read."""
    text = str(error)
    if found := UNKNOWN.search(text):
        domain, _, operator = found[1].rpartition(".")
        return (
            f"The node {node_named(graph, operator, domain)!r} uses the operator {found[1]}, which OpenVINO "
            "does not have; replace it in the model, or run the model with ONNX Runtime."
        )
    return (
        f"OpenVINO cannot read the model ({core_of(error)}); "
        "check it with onnx.checker.check_model, or export it again with export_onnx."
    )


def explain_load_error(error: Exception, path: Path) -> str:
    """Return one sentence for a file in OpenVINO's own form that cannot be read."""
    if re.search(r"weights data in bin file|Incorrect weights in bin file", str(error)):
        return (
            f"The weights in {path.with_suffix('.bin').name} are cut short or belong to another model; "
            "write both files again with OpenVino().compile."
        )
    return f"{path} cannot be read by OpenVINO ({core_of(error)}); write it again with OpenVino().compile."


def core_of(error: Exception) -> str:
    """Return OpenVINO's own reason, without the places in its source that it passed through."""
    lines = [line.strip() for line in str(error).splitlines()]
    reasons = [line for line in lines if line and not _is_place(line)]
    return re.sub(r"\s+", " ", reasons[0]).rstrip(".: ") if reasons else type(error).__name__


def _is_place(line: str) -> bool:
    return bool(
        re.match(r"Exception from \S+:\d+:?$|Check '.*' failed at |FrontEnd API failed with|Summary:", line)
        or re.match(r"While validating|Model wasn't fully converted|-- ", line)
    )
