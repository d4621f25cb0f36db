import json
import zlib
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from course_lib.benchmarking import record_machine
from course_lib.errors import DataError
from course_lib.explore import pruning_studies
from course_lib.explore.channel_graph import ChannelGraph
from course_lib.explore.pruning_studies import (
    DENSE,
    LESSON,
    channel_block,
    file_with_zeros,
    masked_accuracies,
    one_shot_accuracies,
    race_files,
    race_without_channels,
    rankings,
    recorded_lottery,
    stored_bytes,
)
from course_lib.export.onnx_export import build_onnx
from course_lib.pruning.importance import l1_norm
from course_lib.pruning.lottery_result import LotteryResult, TicketRecord
from course_lib.pruning.macs_target import macs_of
from course_lib.pruning.masked import prunable_weights
from course_lib.pruning.selection import SelectionConfig, select_channels
from course_lib.pruning.structure.dependency import DependencyGraph
from course_lib.pruning.structure.removal import remove
from course_lib.quantization.encoding import encode
from course_lib.training import accuracy
from slides.recording import new_recording
from tests.pruning.small_nets import chain, pictures

EXAMPLE = torch.zeros(1, 1, 8, 8)


@pytest.fixture(scope="module")
def graph() -> ChannelGraph:
    return ChannelGraph(chain(), build_onnx(chain(), EXAMPLE), (1, 8, 8))


def test_half_zeros_by_hand() -> None:
    weight = torch.tensor([0.0, 1.5]).repeat(32)
    sizes = stored_bytes([weight])
    assert sizes["as they are"] == 64 * 4
    assert sizes["bitmap"] == 64 / 8 + 32 * 4
    assert sizes["gaps"] == 32 / 8 + 32 * 4  # each gap is one zero, a bit wide
    assert list(sizes) == ["as they are", "zipped", "bitmap", "gaps"]


@given(st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=200), st.integers(0, 200))
def test_sizes_are_those_of_what_is_really_packed(values: list[float], zeros: int) -> None:
    weight = torch.tensor(values)
    weight[:zeros] = 0
    sizes = stored_bytes([weight, weight])
    for way, encoding in {"as they are": "dense", "bitmap": "bitmap", "gaps": "index"}.items():
        assert sizes[way] == 2 * len(encode(weight.numpy(), encoding=encoding).payload)
    assert sizes["zipped"] == len(zlib.compress(2 * weight.numpy().tobytes(), 9))


def test_masks_start_at_the_dense_accuracy_and_the_control_repeats() -> None:
    examples = pictures()
    first, second = (masked_accuracies(chain(), examples, (0.0, 0.5), seed=3) for _ in range(2))
    assert first == second
    assert list(first) == ["global", "local", "layer-adaptive", "random"]
    dense = accuracy(chain(), examples)
    assert [curve[0] for curve in first.values()] == [(0.0, dense)] * 4
    assert all(ratio == 0.5 for curve in first.values() for ratio, _ in curve[1:])


def test_rankings_score_every_channel_and_one_shot_removes_them() -> None:
    graph, examples = DependencyGraph(chain(), EXAMPLE), pictures()
    ranked = rankings(graph, examples, seeds=(0, 5))
    names = ["L1 norm", "batch norm's scale", "mean activation", "Taylor", "random 0", "random 5"]
    assert list(ranked) == names
    first = graph.group_of("first")
    assert [tuple(each(first).shape) for each in ranked.values()] == [(6,)] * 6
    assert torch.equal(ranked["L1 norm"](first), l1_norm(graph)(first))
    own = {name: ranked[name] for name in ("L1 norm", "random 5")}  # the second group passes no norm
    curves = one_shot_accuracies(graph, own, (0.0, 0.4), examples)
    removed = remove(graph, select_channels(graph.groups, own["L1 norm"], 0.4))
    assert curves["L1 norm"] == [(0.0, accuracy(chain(), examples)), (0.4, accuracy(removed, examples))]
    assert list(curves) == list(own)


def test_the_race_has_the_macs_of_the_removed_models(graph: ChannelGraph) -> None:
    config = SelectionConfig(scope="local")
    found = race_without_channels(graph, EXAMPLE.numpy(), (0.5,), config=config, runs=8)
    chosen = select_channels(graph.groups, l1_norm(graph.dependencies), 0.5, config)
    left = macs_of(remove(graph.dependencies, chosen), EXAMPLE)
    assert dict(found.macs) == {DENSE: macs_of(chain(), EXAMPLE), "50%": left}
    gains = found.gains()
    assert gains[DENSE] == (1.0, 1.0)
    assert gains["50%"] == (found.macs[DENSE] / left, 1 / found.race.ratios["50%"].value)
    first, second = found.table_rows()
    assert (first["fewer MACs"], first["95 % interval"]) == ("1.00 times", "–")
    assert second["channels removed"] == "50%"
    assert len(found.race.results["50%"].samples_ms) == 8


def test_the_smallest_weights_are_zero_in_the_file(graph: ChannelGraph) -> None:
    names = set(prunable_weights(chain()))
    content = onnx.load_model_from_string(file_with_zeros(graph, chain(), 0.5))
    stored = {each.name: numpy_helper.to_array(each) for each in content.graph.initializer}
    values = np.concatenate([stored[name].ravel() for name in names])
    whole = np.concatenate([weight.numpy().ravel() for weight in prunable_weights(chain()).values()])
    assert np.count_nonzero(values == 0) == round(0.5 * len(values))
    assert np.abs(values[values != 0]).min() >= np.sort(np.abs(whole))[len(whole) // 2]


def test_the_first_file_is_the_baseline(graph: ChannelGraph) -> None:
    content = graph.without({})
    race = race_files({"one": content, "two": content}, EXAMPLE.numpy(), runs=6)
    assert race.baseline == "one"
    assert list(race.results) == ["one", "two"]


@pytest.mark.parametrize(("flags", "block"), [(("avx2",), 8), (("avx2", "avx512f"), 16)])
def test_the_block_is_that_of_the_vector_register(
    monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], block: int
) -> None:
    known = record_machine()
    other = type(known)(**{**vars(known), "cpu_flags": flags})
    monkeypatch.setattr(pruning_studies, "record_machine", lambda: other)
    assert channel_block() == block


def test_the_recorded_lottery_comes_back(tmp_path: Path) -> None:
    records = tuple(TicketRecord(seed, "dense", 0.0, 0.8 + seed / 100) for seed in (0, 1))
    result = LotteryResult(machine=record_machine(), records=records, images=100)
    new_recording(LESSON, record_machine(), {"lottery": result}).save(tmp_path)
    assert recorded_lottery(tmp_path) == result


@pytest.mark.parametrize("content", [None, "{", '{"results": {}}', json.dumps({"results": {"lottery": 3}})])
def test_a_missing_recording_names_the_remedy(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / f"{LESSON}.json").write_text(content)
    with pytest.raises(DataError) as error:
        recorded_lottery(tmp_path)
    assert str(error.value) == (
        f"{LESSON}.json in the slides' recordings holds no lottery ticket experiment; take the file from the "
        f"repository, or measure again with: python -m slides.record {LESSON}"
    )
