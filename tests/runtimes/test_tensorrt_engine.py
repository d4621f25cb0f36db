"""Running an engine needs a GPU; here an engine of straw computes on the addresses that it is given."""

import ctypes
from types import SimpleNamespace

import numpy as np
import pytest

from course_lib.errors import ModelError
from course_lib.runtimes import tensorrt_engine
from course_lib.runtimes.protocol import LoadedModel
from course_lib.runtimes.tensorrt_engine import load_engine, prepare
from tests.runtimes.test_tensorrt_device import header
from tests.runtimes.test_tensorrt_log import FUSED

TRT = SimpleNamespace(
    TensorIOMode=SimpleNamespace(INPUT="in"), LayerInformationFormat=SimpleNamespace(ONELINE="oneline")
)


class StrawContext:
    """Doubles six float32 numbers, from the address of the input to that of the output."""

    def __init__(self) -> None:
        self.addresses: dict[str, int] = {}
        self.works = True

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        given, wanted = (
            np.ctypeslib.as_array((ctypes.c_float * 6).from_address(self.addresses[name]))
            for name in ("input", "logits")
        )
        wanted[:] = 2 * given
        return self.works


class StrawEngine:
    num_io_tensors = 2

    def __init__(self) -> None:
        self.context = StrawContext()

    def create_execution_context(self) -> StrawContext:
        return self.context

    def create_engine_inspector(self) -> SimpleNamespace:
        return SimpleNamespace(get_engine_information=lambda form: f"Layers:\n{FUSED}\n")

    def get_tensor_name(self, index: int) -> str:
        return ("input", "logits")[index]

    def get_tensor_shape(self, name: str) -> tuple[int, int]:
        return (2, 3) if name == "input" else (3, 2)

    def get_tensor_dtype(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(name="FLOAT")

    def get_tensor_mode(self, name: str) -> str:
        return "in" if name == "input" else "out"


@pytest.fixture
def engine():
    return StrawEngine()


def test_the_batch_passes_through_the_memory_of_the_engine(engine):
    loaded = prepare(engine, TRT, 3, "cpu")
    assert isinstance(loaded, LoadedModel)
    assert (loaded.input_names, loaded.output_names, loaded.threads) == (("input",), ("logits",), 3)
    assert (loaded.input_shape, loaded.input_dtype) == ((2, 3), "float32")
    batch = np.arange(12, dtype=np.float32).reshape(2, 6)[:, ::2]
    batch.flags.writeable = False
    first = loaded.run(batch)
    assert first.tolist() == [[0, 4], [8, 12], [16, 20]]
    loaded.run(batch * 0)
    assert first.tolist() == [[0, 4], [8, 12], [16, 20]], "the result is a copy"


def test_other_batches_are_refused(engine):
    loaded = prepare(engine, TRT, 1, "cpu")
    with pytest.raises(
        ModelError, match=r"^The model takes input of shape \(2, 3\) and the batch has shape \(1, 3"
    ):
        loaded.run(np.zeros((1, 3), np.float32))
    with pytest.raises(
        ModelError, match=r"^The model takes float32 and the batch is float64; pass batch\.astype"
    ):
        loaded.run(np.zeros((2, 3)))


def test_an_engine_that_fails(engine):
    engine.context.works = False
    with pytest.raises(
        ModelError, match=r"^The engine fails on a batch of shape \(2, 3\); build it again for this"
    ):
        prepare(engine, TRT, 1, "cpu").run(np.zeros((2, 3), np.float32))


def test_the_inspector_tells_the_layers(engine):
    (layer,) = prepare(engine, TRT, 1, "cpu").layers(TRT)
    assert layer.onnx_nodes == ("conv", "norm", "relu")


def refused(source: object) -> str:
    with pytest.raises(ModelError) as caught:
        load_engine(source, TRT, "no_package", "TensorRT", 1)
    return str(caught.value)


def test_what_is_no_engine(tmp_path):
    assert (
        refused(tmp_path / "none.engine")
        == f"There is no engine at {tmp_path / 'none.engine'}; build it with compile."
    )
    assert refused(3).startswith("TensorRT loads the path or the bytes of an engine, not int;")


def test_an_engine_for_another_gpu_is_refused_by_what_it_says_itself(monkeypatch, tmp_path):
    monkeypatch.setattr("course_lib.runtimes.tensorrt_device.gpu_capability", lambda: "SM120")
    path = tmp_path / "ada.engine"
    path.write_bytes(header(8))
    assert refused(path) == (
        "An engine for SM89 does not run on the GPU here, which is SM120; build it again for SM120."
    )


def test_without_a_gpu(monkeypatch):
    monkeypatch.setattr(tensorrt_engine, "why_no_gpu", lambda wanted: "No GPU.")
    assert refused(header(8)) == "No GPU."
