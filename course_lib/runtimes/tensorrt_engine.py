"""Load an engine and run it on an NVIDIA GPU.

TensorRT computes on memory of the GPU that it is given. Here PyTorch provides it: a tensor for each input and
output, whose addresses the engine is told once. A call copies the batch there, starts the engine on a stream
(a queue of work for the GPU), waits for it, and copies the scores back.
"""

from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from course_lib.errors import ModelError
from course_lib.runtimes.batch_checks import check_batch, check_single
from course_lib.runtimes.protocol import Array, ModelSource
from course_lib.runtimes.tensorrt_device import read_header, why_no_gpu
from course_lib.runtimes.tensorrt_errors import reason_in
from course_lib.runtimes.tensorrt_log import EngineLayer, parse_layers
from course_lib.runtimes.tensorrt_logger import recorded

TORCH_DTYPES = {"FLOAT": "float32", "HALF": "float16", "BF16": "bfloat16", "INT8": "int8", "UINT8": "uint8"}
TORCH_DTYPES |= {"INT32": "int32", "INT64": "int64", "BOOL": "bool"}


@dataclass(frozen=True)
class TensorRtModel:
    """An engine with its memory on the GPU; calls from several threads take turns."""

    engine: Any = field(repr=False)
    context: Any = field(repr=False)
    stream: Any = field(repr=False)
    buffers: dict[str, Any] = field(repr=False)
    threads: int
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    input_shape: tuple[int | None, ...]
    input_dtype: str
    turn: Lock = field(default_factory=Lock, repr=False)

    def run(self, batch: Array) -> Array:
        """Return the output for one batch; see `LoadedModel.run`."""
        import torch

        check_single(self.input_names, self.output_names)
        check_batch(batch, self.input_dtype, self.input_shape)
        given, wanted = self.buffers[self.input_names[0]], self.buffers[self.output_names[0]]
        values = torch.from_numpy(np.require(batch, requirements=["C", "W"]))
        with self.turn, torch.cuda.stream(self.stream):
            given.copy_(values)
            if not self.context.execute_async_v3(self.stream.cuda_stream if self.stream else 0):
                raise ModelError(
                    f"The engine fails on a batch of shape {batch.shape}; build it again for this machine."
                )
            scores: Array = wanted.cpu().numpy().copy()  # waits until the stream has come this far
        return scores

    def layers(self, trt: Any) -> tuple[EngineLayer, ...]:
        """Return the engine's layers as its inspector tells them; ``trt`` is the package that loaded it."""
        inspector = self.engine.create_engine_inspector()
        text = inspector.get_engine_information(trt.LayerInformationFormat.ONELINE)
        return parse_layers([text])


def load_engine(source: ModelSource, trt: Any, package: str, title: str, threads: int) -> TensorRtModel:
    """Return an engine, from its file or content, ready to run.

    Raises
    ------
    ModelError
        If there is no such file, it is no engine, this machine has no NVIDIA GPU or one of another compute
        capability, or TensorRT refuses it, with its own reason.
    """
    content = _content(source, title)
    header = read_header(content)
    reason = why_no_gpu(header.compute_capabilities if header else ())
    if reason is not None:
        raise ModelError(reason)
    with recorded(package) as (logger, messages):
        engine = trt.Runtime(logger).deserialize_cuda_engine(content)
        if engine is None:
            raise ModelError(
                f"{title} does not load the engine ({reason_in(messages)}); "
                f"build it again with this version ({trt.__version__}) and for this GPU."
            )
    return prepare(engine, trt, threads)


def prepare(engine: Any, trt: Any, threads: int, device: str = "cuda") -> TensorRtModel:
    """Return a deserialized engine with memory for all its inputs and outputs."""
    import torch

    context = engine.create_execution_context()
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    buffers = {}
    for name in names:
        dtype = getattr(torch, TORCH_DTYPES[engine.get_tensor_dtype(name).name])
        buffers[name] = torch.empty(tuple(engine.get_tensor_shape(name)), dtype=dtype, device=device)
        context.set_tensor_address(name, buffers[name].data_ptr())
    inputs = tuple(name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT)
    first = buffers[inputs[0]]
    return TensorRtModel(
        engine=engine,
        context=context,
        stream=torch.cuda.Stream() if device == "cuda" else None,  # type: ignore[no-untyped-call]
        buffers=buffers,
        threads=threads,
        input_names=inputs,
        output_names=tuple(name for name in names if name not in inputs),
        input_shape=tuple(first.shape),
        input_dtype=str(first.dtype).removeprefix("torch."),
    )


def _content(source: ModelSource, title: str) -> bytes:
    if isinstance(source, bytes):
        return source
    if not isinstance(source, str | Path):
        raise ModelError(
            f"{title} loads the path or the bytes of an engine, not {type(source).__name__}; "
            "build one with compile."
        )
    if not Path(source).is_file():
        raise ModelError(f"There is no engine at {source}; build it with compile.")
    return Path(source).read_bytes()
