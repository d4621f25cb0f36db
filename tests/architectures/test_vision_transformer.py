import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from course_lib.architectures.vision_transformer import Attention, TransformerBlock, VisionTransformer
from course_lib.benchmarking.macs import profile_layers
from course_lib.errors import SettingError


def copy_attention(ours: Attention, theirs: nn.MultiheadAttention) -> None:
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.query_key_value.weight)
        theirs.in_proj_bias.copy_(ours.query_key_value.bias)
    theirs.out_proj.load_state_dict(ours.projection.state_dict())


def test_attention_of_two_tokens_by_hand() -> None:
    attention = Attention(dim=1, heads=1)
    with torch.no_grad():
        attention.query_key_value.weight.copy_(torch.tensor([[1.0], [2.0], [10.0]]))
        attention.query_key_value.bias.zero_()
        attention.projection.weight.fill_(1.0)
        attention.projection.bias.fill_(0.5)
    # For the tokens 0 and 1: the first has the query 0 and weighs both alike; the second sees 1·2·0 and
    # 1·2·1, so it weighs the value 10 by e²/(1 + e²).
    mixed = attention(torch.tensor([[[0.0], [1.0]]])).flatten().tolist()
    share = torch.tensor(2.0).exp() / (1 + torch.tensor(2.0).exp())
    assert mixed == pytest.approx([5.0 + 0.5, 10 * share.item() + 0.5])


@settings(max_examples=15)
@given(st.integers(1, 3), st.integers(1, 7), st.sampled_from([1, 2, 4]), st.integers(0, 99))
def test_attention_does_not_know_the_order(batch: int, tokens: int, heads: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, tokens, 8, generator=generator)
    order = torch.randperm(tokens, generator=generator)
    attention = Attention(8, heads)
    torch.testing.assert_close(attention(x[:, order]), attention(x)[:, order], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention_is_torchs(heads: int) -> None:
    ours, theirs = Attention(8, heads), nn.MultiheadAttention(8, heads, batch_first=True)
    copy_attention(ours, theirs)
    x = torch.randn(3, 6, 8)
    torch.testing.assert_close(ours(x), theirs(x, x, x, need_weights=False)[0])


def test_a_block_is_torchs_encoder_layer() -> None:
    ours = TransformerBlock(8, heads=2, hidden=12)
    theirs = nn.TransformerEncoderLayer(
        8, 2, 12, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    copy_attention(ours.attention, theirs.self_attn)
    pairs = (ours.norm1, theirs.norm1), (ours.norm2, theirs.norm2)
    for mine, other in (*pairs, (ours.mlp[0], theirs.linear1), (ours.mlp[2], theirs.linear2)):
        nn.init.normal_(mine.weight)
        other.load_state_dict(mine.state_dict())
    x = torch.randn(3, 6, 8)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-4)


def test_a_patch_becomes_a_token_wherever_it_lies() -> None:
    net = VisionTransformer(8, 4, dim=6, depth=1, heads=2, hidden=5, num_classes=3)
    x = torch.randn(2, 1, 8, 8)
    tokens = net.patches(x).flatten(2).transpose(1, 2)
    weight = net.patches.weight.reshape(6, 16)
    corners = [(0, 0), (0, 4), (4, 0), (4, 4)]
    for index, (top, left) in enumerate(corners):
        patch = x[:, 0, top : top + 4, left : left + 4].reshape(2, 16)
        torch.testing.assert_close(tokens[:, index], patch @ weight.T + net.patches.bias)


def test_only_the_positions_tell_the_patches_apart() -> None:
    net = VisionTransformer(8, 4, dim=6, depth=2, heads=2, hidden=5, num_classes=3)
    x = torch.randn(2, 1, 8, 8)
    swapped = torch.cat([x[..., 4:], x[..., :4]], dim=3)
    assert not torch.allclose(net(x), net(swapped), atol=1e-5)
    nn.init.zeros_(net.position)
    torch.testing.assert_close(net(x), net(swapped), atol=1e-5, rtol=1e-4)


def test_macs_by_hand() -> None:
    net = VisionTransformer(8, 4, dim=6, depth=2, heads=2, hidden=5, num_classes=3)
    linear = 4 * (6 * 18 + 6 * 6 + 2 * 6 * 5)
    products = 2 * 4 * 4 * 6
    assert profile_layers(net, torch.zeros(1, 1, 8, 8)).macs == 4 * 16 * 6 + 2 * (linear + products) + 6 * 3


@pytest.mark.parametrize(("patch_size", "heads"), [(3, 2), (4, 5)])
def test_what_cannot_be_cut_evenly_is_refused(patch_size: int, heads: int) -> None:
    with pytest.raises(
        SettingError,
        match=rf"^image_size is 8 with patch_size {patch_size}, and dim 6 with {heads} heads; expected "
        r"patch_size to divide image_size, and heads to divide dim\.$",
    ):
        VisionTransformer(8, patch_size, dim=6, depth=1, heads=heads, hidden=5, num_classes=3)
