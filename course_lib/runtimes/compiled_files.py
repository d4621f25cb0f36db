"""How a compiled model, a file or a folder, gets to its place: whole or not at all."""

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

from course_lib.errors import ExportError
from course_lib.reproducibility import write_atomically


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


def not_written(path: Path, error: OSError) -> ExportError:
    """Return the error for a file or folder that could not be written."""
    return ExportError(
        f"{path} could not be written ({error.strerror or error}) and is unchanged; "
        "free some space or pass another path."
    )
