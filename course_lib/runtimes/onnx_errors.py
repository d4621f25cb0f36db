"""ONNX Runtime's error texts, turned into one sentence with the way out."""

import re

KNOWN_ERRORS: tuple[tuple[str, str], ...] = (
    (
        r"INVALID_PROTOBUF|No graph was found",
        "{model} is not an ONNX model or is cut short; "
        "write it again with export_onnx(model, example_inputs, path).",
    ),
    (
        r'External data path does not exist: "(?:[^"]*[/\\])?([^"/\\]+)"',
        "{model} keeps its weights in a second file, {0!r}, which is missing; put that file beside the model "
        "and load by path, or export again with export_onnx, which writes one file.",
    ),
    (
        r"External initializer: (\S+) .*(?:out of bounds|can not be read)",
        "{model} is damaged, because the stored weights {0!r} are shorter than their shape says; "
        "export it again with export_onnx(model, example_inputs, path).",
    ),
    (
        r"(?:No Op registered for|Fatal error:|Could not find an implementation for) ([\w.:]+)",
        "{model} uses the operator {0}{node}, which ONNX Runtime does not have for these types and this "
        "opset on the CPU; replace it in the model and export again with export_onnx.",
    ),
    (
        r"No opset import for domain '([^']*)'",
        "{model} uses operators of the domain {0!r}, which ONNX Runtime does not have; "
        "replace them in the model and export again with export_onnx.",
    ),
    (
        r"Opset (\d+) is under development.* till opset (\d+)",
        "{model} is written in opset {0}, and this ONNX Runtime understands opsets up to {1}; "
        "export it again with a lower opset_version.",
    ),
    (
        r"Unsupported model IR version: (\d+), max supported IR version: (\d+)",
        "{model} has the file format version {0}, and this ONNX Runtime understands versions up to {1}; "
        "export it again with export_onnx, or install a newer onnxruntime.",
    ),
)
"""Pattern in ONNX Runtime's text → our sentence; {0} and {1} are what the pattern's brackets found."""

NODE_NAME = r"In Node, \(\"([^\"]+)\"|node with name '([^']+)'"
"""Where ONNX Runtime's text names the node, if it has a name."""


def explain_load_error(error: Exception, model: str) -> str:
    """Return one sentence for an error while loading.

    Parameters
    ----------
    model
        What was being loaded, as the beginning of a sentence.
    """
    text = str(error)
    named = re.search(NODE_NAME, text)
    node = f" (node {(named[1] or named[2])!r})" if named else ""
    for pattern, sentence in KNOWN_ERRORS:
        if found := re.search(pattern, text, re.DOTALL):
            return sentence.format(*found.groups(), model=model, node=node)
    return (
        f"{model} cannot be loaded by ONNX Runtime ({core_of(error)}); "
        "check it with onnx.checker.check_model, or export it again with export_onnx."
    )


def core_of(error: Exception) -> str:
    """Return ONNX Runtime's own reason without its codes, source locations and signatures."""
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error).strip())
    text = re.sub(r"^.*Status Message: ", "", text)
    text = re.sub(r"\S+\.(?:cc|h):\d+ ", "", text)
    text = re.sub(r"^\S+ (?:const |static )?onnxruntime::.*\) (?=\S)", "", text)
    return text.split("\n")[0].rstrip(". ")
