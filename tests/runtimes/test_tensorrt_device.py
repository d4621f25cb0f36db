import pytest

from course_lib.runtimes import tensorrt_device
from course_lib.runtimes.tensorrt_device import CAPABILITIES, EngineHeader, read_header, why_no_gpu


def header(mask: int) -> bytes:
    return b"vtrt" + bytes(20) + bytes([1, 7, 1, 116]) + b"vtrt" + mask.to_bytes(4, "little") + bytes(28)


@pytest.mark.parametrize("bit", range(6))
def test_one_bit_for_each_compute_capability(bit):
    assert read_header(header(1 << bit)) == EngineHeader("1.7.1.116", (CAPABILITIES[bit],))


def test_an_engine_for_several():
    assert read_header(header(0b1100)).compute_capabilities == ("SM86", "SM89")


@pytest.mark.parametrize(
    "content", [b"", header(8)[:63], b"ptrt" + header(8)[4:], header(0), header(1 << 20)]
)
def test_another_form_says_nothing(content):
    assert read_header(content) is None


@pytest.mark.parametrize(
    ("here", "wanted", "sentence"),
    [
        ("SM89", (), None),
        ("SM89", ("SM89",), None),
        ("SM89", ("SM86", "SM89"), None),
        (
            "SM86",
            ("SM89",),
            "An engine for SM89 does not run on the GPU here, which is SM86; build it again for SM86.",
        ),
    ],
)
def test_a_gpu_runs_what_is_built_for_it(monkeypatch, here, wanted, sentence):
    monkeypatch.setattr(tensorrt_device, "gpu_capability", lambda: here)
    assert why_no_gpu(wanted) == sentence


@pytest.mark.parametrize(
    ("cuda", "words"), [(None, "is built for the CPU only"), ("12.8", "no driver for one")]
)
def test_without_a_gpu_the_sentence_says_what_is_missing(monkeypatch, cuda, words):
    monkeypatch.setattr(tensorrt_device, "gpu_capability", lambda: None)
    monkeypatch.setattr("torch.version.cuda", cuda)
    assert words in why_no_gpu()


@pytest.mark.parametrize(("available", "name"), [(True, "SM120"), (False, None)])
def test_the_gpu_is_asked(monkeypatch, available, name):
    monkeypatch.setattr("torch.cuda.is_available", lambda: available)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda index: (12, 0))
    assert tensorrt_device.gpu_capability() == name
