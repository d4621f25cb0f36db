"""One function for every data set: by name for the course's own, by path for the student's."""

from collections.abc import Callable
from os import PathLike
from pathlib import Path

from course_lib.data.dataset import Dataset
from course_lib.data.fashion_mnist import load_full
from course_lib.data.own import load_folder, load_npz
from course_lib.data.shipped import load_shipped
from course_lib.errors import DataError, UnknownNameError

DATASETS: dict[str, Callable[[str], Dataset]] = {
    "fashion-mnist": load_shipped,
    "fashion-mnist-full": load_full,
}
SPLITS = ("train", "validation", "test")


def list_datasets() -> list[str]:
    """Return the names that `load_dataset` knows."""
    return sorted(DATASETS)


def load_dataset(source: str | PathLike[str], split: str = "test") -> Dataset:
    """Load labelled images.

    Parameters
    ----------
    source
        ``"fashion-mnist"`` (ships with the course, works offline), ``"fashion-mnist-full"`` (all 70,000), the
        path of an ``.npz`` file with ``images`` and ``labels``, or the path of a folder with one sub-folder
        of images a class. A name goes before a folder of the same name; ``"./fashion-mnist"`` is the folder.
    split
        ``"train"``, ``"validation"`` or ``"test"``; for a folder of your own, the sub-folder of that name is
        used if there is one. An ``.npz`` file is one split.

    Raises
    ------
    UnknownNameError
        If ``source`` is neither known nor an existing path, or ``split`` is not one of the three.
    DataError
        If the data is missing, damaged or malformed.
    """
    if split not in SPLITS:
        raise UnknownNameError("split", split, SPLITS)
    if str(source) in DATASETS:
        return DATASETS[str(source)](split)
    path = Path(source)
    if path.is_dir():
        part = path / split
        return load_folder(part if part.is_dir() else path)
    if path.suffix == ".npz":
        return load_npz(path)
    if path.is_file():
        raise DataError(f"{path} is neither an .npz file nor a folder of images; save it as one of these.")
    raise UnknownNameError("data set (or file)", str(source), DATASETS)
