import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from course_lib.errors import UnknownNameError
from course_lib.runtimes import RUNTIMES, LoadedModel, Runtime, get_runtime, list_runtimes
from tests.runtimes.optional import needs

TAKE_MODELS = ["eager", "onnxruntime", "openvino"]
"""The runtimes that load a module or an ONNX file; the others load only what they have compiled."""


@pytest.fixture(params=TAKE_MODELS)
def name(request):
    if request.param == "openvino":
        needs("openvino")
    return request.param


@pytest.fixture
def source(name, matmul):
    """The same function, input @ [[1, 3], [2, 4], [0, 0]], in the form that the runtime takes."""
    if name != "eager":
        return matmul
    layer = nn.Linear(3, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 2.0, 0.0], [3.0, 4.0, 0.0]]))
    return layer


def test_every_runtime_follows_the_protocol(name, source):
    runtime = get_runtime(name)
    assert isinstance(runtime, Runtime)
    assert runtime.name == name
    assert runtime.why_unavailable() is None
    loaded = runtime.load(source, threads=2)
    assert isinstance(loaded, LoadedModel)
    assert (loaded.threads, loaded.input_names, loaded.output_names) == (2, ("input",), ("logits",))


def test_every_runtime_computes_the_hand_worked_value(name, source):
    loaded = get_runtime(name).load(source)
    for rows in (1, 2, 7):
        batch = np.tile(np.array([[1, 1, 5]], np.float32), (rows, 1))
        scores = loaded.run(batch)
        assert scores.dtype == np.float32
        assert scores.tolist() == [[3.0, 7.0]] * rows


def test_every_runtime_takes_arrays_that_are_read_only_or_strided(name, source):
    batch = np.ones((4, 6), np.float32)[::2, ::2]
    batch.flags.writeable = False
    assert get_runtime(name).load(source).run(batch).tolist() == [[3.0, 7.0]] * 2


@pytest.mark.parametrize("threads", [0, -1, 1.5, True])
def test_every_runtime_refuses_thread_counts_that_say_nothing(name, source, threads):
    with pytest.raises(ValueError, match="threads must be a whole number of at least 1, not"):
        get_runtime(name).load(source, threads=threads)


def test_unknown_runtime_lists_the_known():
    with pytest.raises(UnknownNameError) as caught:
        get_runtime("onnx-runtime")
    assert str(caught.value) == (
        f"There is no runtime called 'onnx-runtime'; the known ones are {', '.join(sorted(RUNTIMES))}. "
        "Did you mean 'onnxruntime'?"
    )


def test_list():
    assert list_runtimes() == sorted(RUNTIMES)
    assert set(TAKE_MODELS) < set(RUNTIMES)


@pytest.mark.parametrize("name", sorted(RUNTIMES))
def test_every_runtime_is_listed_whether_or_not_it_is_installed(name):
    runtime = get_runtime(name)
    assert isinstance(runtime, Runtime)
    assert runtime.name == name
    missing = runtime.why_unavailable()
    assert missing is None or missing.count("install it with: ") == 1


def test_importing_the_package_loads_no_runtime():
    heavy = {"torch", "onnxruntime", "onnx", "openvino", "tensorrt_rtx_bindings"}
    code = f"import sys, course_lib.runtimes; print(*{heavy} & sys.modules.keys())"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == ""
