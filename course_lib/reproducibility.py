"""Seeds, content hashes and files that are either whole or not there."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def torch_generator(seed: int, device: str = "cpu") -> "torch.Generator":
    """Return a torch random generator with this seed; pass it on instead of seeding globally."""
    import torch

    return torch.Generator(device=device).manual_seed(seed)


@contextmanager
def seeded_torch(seed: int) -> Iterator[None]:
    """Run a block with torch's global random state seeded, and put the old state back afterwards.

    Layers draw their initial weights from torch's global state; this keeps that draw reproducible without
    disturbing anybody else's.
    """
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file so that readers see the old one or the whole new one, never a half.

    Parameters
    ----------
    path
        The final place; its folder is made when missing.
    write
        Called with a temporary path beside ``path``; whatever it wrote there replaces ``path``. When it
        raises (a full disk, an interruption), the temporary file is removed and ``path`` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text_atomically(path: Path, text: str) -> None:
    """Write UTF-8 text with `write_atomically`."""

    def write(target: Path) -> None:
        target.write_text(text, encoding="utf-8")

    write_atomically(path, write)
