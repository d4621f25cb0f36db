"""Where an explorer's model comes from: the zoo by name, a PyTorch module, or an ONNX file.

Whatever it was, what comes back are the bytes of an ONNX model. Exporting takes seconds, so that of a zoo
network is done once and kept in the user's cache folder, under a name that changes with the checkpoint and
the exporter. torch is imported only where something is really exported.
"""

import hashlib
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import onnx
import platformdirs
from google.protobuf.message import DecodeError

from course_lib.architectures import load_card, load_pretrained
from course_lib.errors import ModelError
from course_lib.reproducibility import sha256_of, write_atomically

if TYPE_CHECKING:
    from torch import nn

ModelSource: TypeAlias = "str | PathLike[str] | nn.Module"

ZOO_INPUT = (1, 28, 28)
EXPORTING = threading.Lock()
"""The exporter is not made for two threads, and a notebook may open two explorers at once."""

EXPORTERS = ("edge-ai-course", "torch", "onnx", "onnxscript")


def onnx_of(source: ModelSource, input_shape: Sequence[int] = ZOO_INPUT) -> bytes:
    """Return the ONNX model of a zoo name, a path that ends in .onnx, or a PyTorch module.

    Parameters
    ----------
    input_shape
        (C, H, W) of one input, needed to export a module.

    Raises
    ------
    UnknownNameError
        If a name is not in the zoo.
    ModelError
        If a file is missing, is not ONNX, or its weights in a second file are missing.
    ExportError
        If a module cannot be exported.
    """
    if isinstance(source, str) and not source.endswith(".onnx"):
        return cached(source, "onnx", lambda model: _export(model, ZOO_INPUT))
    if isinstance(source, str | PathLike):
        return _onnx_of_file(Path(source))
    return _export(source, input_shape)


def _onnx_of_file(path: Path) -> bytes:
    try:
        # Loading rather than reading pulls in weights that lie in a second file.
        content: bytes = onnx.load(path).SerializeToString()
        return content
    except FileNotFoundError as error:
        missing = Path(error.filename or path).name
        raise ModelError(
            f"{missing} does not exist; pass the path of an .onnx file with its data."
        ) from error
    except onnx.checker.ValidationError as error:
        raise ModelError(
            f"{path.name} keeps its weights in a second file that is missing; put that file beside it."
        ) from error
    except (DecodeError, OSError) as error:
        raise ModelError(f"{path.name} is not an ONNX file; write one with export_onnx.") from error


def cached(name: str, kind: str, export: "Callable[[nn.Module], bytes]") -> bytes:
    """Return what ``export`` makes of a zoo network, from the user's cache folder where it is there already.

    Parameters
    ----------
    kind
        Folder of the cache: what is exported.

    Raises
    ------
    UnknownNameError
        If a name is not in the zoo.
    """
    card = load_card(name)
    versions = " ".join(f"{package} {version(package)}" for package in EXPORTERS)
    key = hashlib.sha256(f"{card.sha256} {versions}".encode()).hexdigest()[:16]
    path = platformdirs.user_cache_path("edge-ai-course") / kind / f"{name}-{key}.bin"
    if sha256_of(card.checkpoint) == card.sha256:
        content = _read_cached(path)
        if content:
            return content
    content = export(load_pretrained(name))
    # A full or read-only disk costs the next start some seconds, nothing else.
    with suppress(OSError):
        write_atomically(path, lambda target: _write_cached(target, content))
    return content


def _read_cached(path: Path) -> bytes | None:
    """Return the model behind its own SHA-256, or None where the file is missing or damaged."""
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    digest, content = stored[:32], stored[32:]
    return content if hashlib.sha256(content).digest() == digest else None


def _write_cached(path: Path, content: bytes) -> None:
    path.write_bytes(hashlib.sha256(content).digest() + content)


def _export(model: "nn.Module", input_shape: Sequence[int]) -> bytes:
    import torch

    from course_lib.export.onnx_export import build_onnx

    with EXPORTING:
        return build_onnx(model, torch.zeros(1, *input_shape))
