import numpy as np
import pytest

from course_lib.errors import ModelError
from course_lib.runtimes.batch_checks import check_batch, check_single, why_not_taken


@pytest.mark.parametrize("shape", [(2, 3), (None, 3), (None, None), None])
def test_what_fits_passes(shape):
    batch = np.zeros((2, 3), np.float32)
    assert why_not_taken(batch, "float32", shape) is None
    check_batch(batch, "float32", shape)


@pytest.mark.parametrize(
    ("batch", "sentence"),
    [
        ([[1.0]], "run takes a NumPy array, not list; pass np.asarray(batch)."),
        (
            np.zeros((2, 3)),
            'The model takes float32 and the batch is float64; pass batch.astype("float32").',
        ),
        (
            np.zeros((2, 4), np.float32),
            "The model takes input of shape (any, 3) and the batch has shape (2, 4); prepare the data as for "
            "training, with one axis for the batch first.",
        ),
    ],
)
def test_what_does_not_fit_is_refused(batch, sentence):
    with pytest.raises(ModelError) as caught:
        check_batch(batch, "float32", (None, 3))
    assert str(caught.value) == sentence
    if isinstance(batch, np.ndarray):
        assert why_not_taken(batch, "float32", (None, 3)) == sentence


def test_one_input_and_one_output():
    check_single(("input",), ("logits",))
    with pytest.raises(ModelError) as caught:
        check_single(("input",), ("a", "b"))
    assert str(caught.value) == (
        "run is for models with one input and one output, and this one has the inputs ('input',) and the "
        "outputs ('a', 'b'); load it with ONNX Runtime and call session.run."
    )
