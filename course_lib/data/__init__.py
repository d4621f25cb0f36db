"""Images and labels: what ships with the course, the full Fashion-MNIST, and the student's own."""

from course_lib.data.dataset import Dataset
from course_lib.data.load import list_datasets, load_dataset

__all__ = ["Dataset", "list_datasets", "load_dataset"]
