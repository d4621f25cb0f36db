"""The converters' error texts, pages long at times, turned into one sentence with the operator in it."""

import re

from course_lib.errors import ModelError

OPERATOR_PATTERNS = (
    r"PyTorch convert function for op '([\w.:]+)' not implemented",  # coremltools
    r"Unsupported fx node (\S+), kind",  # coremltools, from an exported program
    r"Lowering not found: ([\w.:]+)",  # litert-torch
    r"Operator torch\._ops\.([\w.]+) is not in Core ATen",  # ExecuTorch, while lowering
    r"Missing out variants: \{'([\w.:]+)'",  # ExecuTorch, while writing the program
    r"Missing operator: \[\d+\] ([\w.:]+)",  # ExecuTorch's runtime, in its log
)
DATA_DEPENDENT = r"data-dependent|GuardOnDataDependent|bool\(\) on .*SymBool|Could not guard"


def refused_model(target: str, name: str, error: BaseException, log: str = "") -> ModelError:
    """Return the error for a model that a converter refused.

    Parameters
    ----------
    target
        The name of the compiler.
    name
        The name of the model.
    log
        What the converter wrote meanwhile; searched for the operator if the error does not name it.
    """
    chain = [error]
    while (earlier := chain[-1].__cause__ or chain[-1].__context__) is not None and earlier not in chain:
        chain.append(earlier)
    text = "\n".join([*map(str, chain), log])
    for pattern in OPERATOR_PATTERNS:
        if operator := re.search(pattern, text):
            return ModelError(
                f"{target} has no form of the operator {operator[1]}, which {name} uses; "
                "replace it in the forward method, or choose another target."
            )
    if re.search(DATA_DEPENDENT, text):
        return ModelError(
            f"{target} needs a fixed graph and the forward method of {name} decides by values in a tensor; "
            "replace the if or the loop with torch.where."
        )
    return ModelError(
        f"{target} could not compile {name} ({_reason(chain)}); "
        "rewrite that step of its forward method, or choose another target."
    )


def _reason(chain: list[BaseException]) -> str:
    """Return the first line of the innermost error that says something, at most 200 characters."""
    for link in reversed(chain):
        lines = [line.strip() for line in str(link).splitlines() if line.strip()]
        if lines:
            return lines[0].rstrip(".")[:200]
    return type(chain[0]).__name__
