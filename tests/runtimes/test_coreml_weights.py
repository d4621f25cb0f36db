import numpy as np
import pytest

from course_lib.benchmarking import measure_size
from course_lib.runtimes.coreml import CoreMl
from course_lib.runtimes.coreml_reference import load_reference
from tests.runtimes.optional import needs
from tests.runtimes.small_models import convolutions, images, scores, to_compile

needs("coremltools")
pytestmark = pytest.mark.slow


def test_palettes(tmp_path):
    network, batch = convolutions(), images(1, seed=2)
    model = to_compile(network, batch)
    errors, sizes = [], []
    for bits in (8, 4, 2):
        path = CoreMl(palette_bits=bits).compile(model, tmp_path / f"{bits}.mlpackage", "fp16")
        loaded = load_reference(path)
        assert (
            loaded.operators().count("constexpr_lut_to_dense") == 2
        )  # the 1×1 convolution, the linear layer
        weights = [value for value in loaded.constants.values() if getattr(value, "shape", ()) == (10, 256)]
        assert len(weights) == 1
        assert len(np.unique(weights[0].numpy())) <= 2**bits
        errors.append(np.abs(loaded.run(batch) - scores(network, batch)).max())
        sizes.append(measure_size(path).size_bytes)
    assert sizes == sorted(sizes, reverse=True)
    assert errors[0] < 0.02
    assert errors[0] < errors[1] < errors[2]
