import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_lib.benchmarking.layer_meter import counted_flops, metered_layers


def test_each_module_is_charged_with_its_own_share_by_hand() -> None:
    model = nn.Sequential(nn.ReLU(), nn.Sequential(nn.ReLU()))
    # The reading grows by one each time it is taken, so the ten readings of one pass are 0 … 7:
    # model 0, first 1–2, inner block 3, its layer 4–5, block ends 6, model ends 7.
    with metered_layers(model, itertools.count().__next__) as meter:
        model(torch.zeros(2, 3))
    assert meter.own == {"0": 1, "1.0": 1, "1": 2, "": 3}
    assert meter.output_shapes == {"0": (2, 3), "1.0": (2, 3), "1": (2, 3), "": (2, 3)}


def test_all_shares_add_up_to_the_whole_and_repeated_modules_to_their_sum() -> None:
    shared = nn.ReLU()
    model = nn.Sequential(shared, shared, nn.Sequential(nn.Tanh(), nn.Tanh()))
    reading = itertools.count()
    with metered_layers(model, reading.__next__) as meter:
        model(torch.zeros(1))
    assert sum(meter.own.values()) == next(reading) - 1
    assert meter.own["0"] == 2


def test_hooks_are_gone_even_after_a_failure() -> None:
    model = nn.Sequential(nn.Linear(3, 2))
    with pytest.raises(RuntimeError), metered_layers(model, int):
        model(torch.zeros(1, 4))
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in model.modules())


def test_fused_attention_counts_as_its_two_products() -> None:
    query, key, value = torch.zeros(2, 4, 5, 8), torch.zeros(2, 4, 7, 8), torch.zeros(2, 4, 7, 6)
    with torch.no_grad(), counted_flops() as fused:
        F.scaled_dot_product_attention(query, key, value)
    with torch.no_grad(), counted_flops() as written_out:
        (query @ key.transpose(-2, -1)).softmax(-1) @ value
    assert fused.get_total_flops() == written_out.get_total_flops() == 2 * 2 * 4 * 5 * 7 * (8 + 6)


def test_fused_attention_of_equal_widths_counts_alike() -> None:
    query = torch.zeros(1, 2, 6, 8)
    with torch.no_grad(), counted_flops() as fused:
        F.scaled_dot_product_attention(query, query, query)
    assert fused.get_total_flops() == 2 * 2 * 6 * 6 * 16


def test_products_with_a_vector_are_counted() -> None:
    with counted_flops() as counter:
        torch.zeros(3, 4) @ torch.zeros(4)
        torch.zeros(5) @ torch.zeros(5)
    assert counter.get_total_flops() == 2 * (12 + 5)


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("batch_first", [False, True])
def test_an_lstm_counts_its_four_gates(directions: int, batch_first: bool) -> None:
    lstm = nn.LSTM(4, 6, bidirectional=directions == 2, batch_first=batch_first)
    with torch.no_grad(), counted_flops() as counter:
        lstm(torch.zeros((2, 5, 4) if batch_first else (5, 2, 4)))
    assert counter.get_total_flops() == 2 * directions * 5 * 2 * 4 * 6 * (4 + 6)


@pytest.mark.parametrize("was_fast", [True, False])
def test_the_fast_path_is_restored(was_fast: bool) -> None:
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(was_fast)
    try:
        with counted_flops():
            assert not torch.backends.mha.get_fastpath_enabled()
        assert torch.backends.mha.get_fastpath_enabled() is was_fast
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
