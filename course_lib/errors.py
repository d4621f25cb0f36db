"""The exceptions of the course: each says what came, what was expected, and the call that fixes it."""

from collections.abc import Iterable
from difflib import get_close_matches


class CourseError(Exception):
    """Base of every error the course raises on purpose; its text is one sentence for a person."""


class UnknownNameError(CourseError):
    """A name that is not in a registry.

    Parameters
    ----------
    kind
        What was looked up, for example ``"model"``.
    name
        The name that was asked for.
    known
        The names that exist; they are listed, and the closest one is suggested.
    """

    def __init__(self, kind: str, name: object, known: Iterable[str]) -> None:
        names = sorted(known)
        listed = ", ".join(names) or "none yet"
        close = get_close_matches(str(name), names, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        super().__init__(f"There is no {kind} called {name!r}; the known ones are {listed}.{hint}")


class SettingError(CourseError, ValueError):
    """An argument outside its range."""


class DataError(CourseError, ValueError):
    """A data file or array that is missing, corrupt, or of the wrong shape."""


class CheckpointError(CourseError):
    """A checkpoint that is missing, damaged, or belongs to another model."""


class ModelError(CourseError):
    """A model that cannot be used here: wrong input or output shape, unsupported operator, bad weights."""


class ExportError(CourseError):
    """A model that could not be exported or written."""


class ParityError(CourseError):
    """Two versions of a model that should agree and do not."""


class MeasurementError(CourseError):
    """A measurement that could not be taken."""


class MissingPackageError(CourseError, ImportError):
    """An optional package that is not installed.

    Parameters
    ----------
    package
        The package that is missing.
    purpose
        What it is needed for, as the end of "… is needed to …".
    install
        The command that installs it.
    """

    def __init__(self, package: str, purpose: str, install: str) -> None:
        super().__init__(f"{package} is needed to {purpose}; install it with: {install}")
