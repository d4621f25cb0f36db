"""Import torchvision even where its compiled operators do not match the installed torch.

The wheel of torchvision is linked against CUDA. Beside a CPU build of torch its operators do not load, and
the import stops because the schemas of ``torchvision::nms`` and ``qnms`` are missing. Data sets, transforms
and models use none of these operators, so declaring the two schemas lets the import finish. Where
torchvision imports cleanly this does nothing.
"""

import importlib

import torch

from course_lib.errors import MissingPackageError

_kept_libraries: list[torch.library.Library] = []


def import_torchvision() -> None:
    """Make ``import torchvision`` work from here on.

    Raises
    ------
    MissingPackageError
        If torchvision is not installed.
    """
    try:
        importlib.import_module("torchvision")
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            "torchvision", "load this data set", "pip install torchvision==0.28.0"
        ) from error
    except RuntimeError:
        _declare_missing_schemas()
        importlib.import_module("torchvision")


def _declare_missing_schemas() -> None:
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
    # The declarations live as long as the object does.
    _kept_libraries.append(library)
