"""How a compiled model, a file or a folder, gets to its place whole or not at all, and is read again."""

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

from course_lib.errors import ExportError, ModelError
from course_lib.reproducibility import write_atomically
from course_lib.runtimes.protocol import ModelSource


def write_whole(content: bytes, path: Path | str) -> Path:
    """Put a compiled file in its place and return the path; an older file stays if that fails.

    Raises
    ------
    ExportError
        If the disk is full or the place cannot be written.
    """
    path = Path(path)

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    try:
        write_atomically(path, write)
    except OSError as error:
        raise not_written(path, error) from error
    return path


def write_whole_folder(write: Callable[[Path], None], path: Path | str) -> Path:
    """Let ``write`` make a folder beside ``path``, then put it there, and return the path.

    An older folder steps aside and comes back if that fails; a reader between the two renames finds none.

    Parameters
    ----------
    write
        Called with a path of the same name, at which nothing is yet.

    Raises
    ------
    ExportError
        If the disk is full or the place cannot be written.
    """
    path = Path(path)
    workplace: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        workplace = Path(mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        fresh, old = workplace / path.name, workplace / "old"
        write(fresh)
        if path.exists():
            path.replace(old)
        try:
            fresh.replace(path)
        except OSError:
            if old.exists():
                old.replace(path)
            raise
    except OSError as error:
        raise not_written(path, error) from error
    finally:
        if workplace is not None:
            shutil.rmtree(workplace, ignore_errors=True)
    return path


def read_compiled(source: ModelSource, compiler: str, suffix: str, signature: bytes) -> tuple[bytes, str]:
    """Return the content of a compiled file, and how a sentence about it begins.

    Parameters
    ----------
    compiler
        The class that writes such files.
    signature
        What the file has from its fifth byte on: a flatbuffer's type.

    Raises
    ------
    ModelError
        If there is no such file, or it is of another kind.
    """
    remedy = f"write one with {compiler}().compile(model, path)."
    if isinstance(source, bytes):
        content, label = source, f"The content ({len(source):,} bytes)"
    elif isinstance(source, str | Path):
        if not Path(source).is_file():
            raise ModelError(f"There is no file at {source}; {remedy}")
        content, label = Path(source).read_bytes(), f"The file {source}"
    else:
        kind = type(source).__name__
        raise ModelError(f"{compiler} takes the path or the bytes of a {suffix} file, not {kind}; {remedy}")
    if content[4:].startswith(signature):
        return content, label
    raise ModelError(f"{label} is not a {suffix} file; {remedy}")


def not_written(path: Path, error: OSError) -> ExportError:
    """Return the error for a file or folder that could not be written."""
    return ExportError(
        f"{path} could not be written ({error.strerror or error}) and is unchanged; "
        "free some space or pass another path."
    )
