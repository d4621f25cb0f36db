import subprocess
import sys

import numpy as np
import pytest
import torch

from course_lib.errors import DataError, ModelError
from course_lib.quantization import OBSERVERS, choose_qparams_from_range, fake_quantize, sqnr_db

GRIDS = [(8, True), (8, False), (4, True), (2, False), (16, False)]
each_observer = pytest.mark.parametrize("name", OBSERVERS)
each_grid = pytest.mark.parametrize(("bits", "symmetric"), GRIDS)


def observed(name, bits, symmetric, *batches):
    observer = OBSERVERS[name](bits, symmetric)
    for batch in batches:
        observer.observe(batch)
    return observer


def test_the_names():
    assert list(OBSERVERS) == ["minmax", "moving_average", "percentile", "mse", "entropy"]


@each_observer
@each_grid
def test_a_range_gives_a_grid_that_fits_the_activations(name, bits, symmetric):
    rng = np.random.default_rng(0)
    batches = [np.maximum(rng.normal(size=(8, 4, 5, 5)), 0).astype(np.float32) for _ in range(5)]
    low, high = observed(name, bits, symmetric, *batches).range()
    assert low <= 0 < high
    qparams = choose_qparams_from_range(low, high, bits, symmetric=symmetric)
    x = np.concatenate(batches)
    # the moving average clips some values, however many bits there are
    assert sqnr_db(x, fake_quantize(x, qparams)) > min(6 * bits - 12, 25)


@each_observer
def test_torch_tensors_and_arrays_give_the_same_range(name):
    x = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    assert observed(name, 8, False, torch.from_numpy(x)).range() == observed(name, 8, False, x).range()


@each_observer
@each_grid
@pytest.mark.parametrize("value", [0.0, 5.0, -0.3, 1e-40, 1e30])
def test_a_constant_batch_is_met_and_warned_about(name, bits, symmetric, value):
    x = np.full((2, 3), value, np.float32)
    observer = observed(name, bits, symmetric, x)
    low, high = observer.range()
    assert low <= 0 <= high
    qparams = choose_qparams_from_range(low, high, bits, symmetric=symmetric)
    assert fake_quantize(x, qparams) == pytest.approx(x, rel=1e-6, abs=1e-38)
    assert observer.warning() == (
        f"All values observed so far are {x[0, 0]:g}, and a range fitted to one number holds no others; "
        "calibrate with real inputs, 100 to 1000 of them."
    )
    observer.observe(x + 1)
    assert (observer.warning() is None) == bool((x + 1 != x).all())


@each_observer
def test_nothing_observed_is_refused(name):
    observer = observed(name, 8, True, np.zeros((0, 4)))
    assert observer.warning() is None
    with pytest.raises(DataError) as error:
        observer.range()
    assert str(error.value) == (
        "No calibration data was observed, so there is no range yet; run at least one batch through the "
        "model before converting it."
    )


@each_observer
def test_a_batch_with_nan_is_refused_and_left_out(name):
    x = np.random.default_rng(0).normal(size=100).astype(np.float32)
    observer = observed(name, 8, False, x)
    before = observer.range()
    with pytest.raises(ModelError, match=r"^3 of these 5 activations are NaN, infinite, or beyond ±1e\+38"):
        observer.observe(torch.tensor([float("nan"), float("inf"), 100.0, 1.0, float("-inf")]))
    assert observer.range() == before


def test_calibrating_arrays_never_imports_torch():
    program = (
        "import sys, numpy as np\n"
        "from course_lib.quantization import OBSERVERS\n"
        "for make in OBSERVERS.values():\n"
        "    observer = make(8, True)\n"
        "    observer.observe(np.arange(-9.0, 9.0))\n"
        "    observer.range()\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
