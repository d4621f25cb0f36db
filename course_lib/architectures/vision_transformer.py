"""A small vision transformer over patches (Dosovitskiy et al., 2021).

The picture is cut into 4×4 patches, each a token of ``dim`` numbers; every block lets the tokens look at
each other, softmax(Q·Kᵀ/√d)·V, and then passes each through an MLP, both beside an identity and after a layer
norm. Left out: the class token; the mean of all tokens is classified instead (Zhai et al., 2022).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.architectures.multipliers import scale_channels, scale_repeats
from course_lib.errors import SettingError
from course_lib.registry import register_model


class Attention(nn.Module):
    """Multi-head self-attention, (B, T, D) → (B, T, D)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.projection = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        _, tokens, dim = x.shape
        split = self.query_key_value(x).reshape(-1, tokens, 3, self.heads, dim // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.projection(mixed.transpose(1, 2).reshape(-1, tokens, dim))  # type: ignore[no-any-return]


class TransformerBlock(nn.Module):
    """Attention and MLP, each after a layer norm and beside an identity; (B, T, D) → (B, T, D)."""

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]


class VisionTransformer(nn.Module):
    """Patches with positions, blocks, mean of tokens, classifier: (N, C, S, S) → (N, num_classes).

    Parameters
    ----------
    image_size, patch_size
        Side of the square picture and of a patch in pixels; the first must be a multiple of the second.
    dim, depth, heads, hidden
        Numbers a token, blocks, attention heads (a divisor of ``dim``), and width of the MLPs.

    Raises
    ------
    SettingError
        If the picture cannot be cut into whole patches, or a token into whole heads.
    """

    def __init__(
        self,
        image_size: int,
        patch_size: int,
        dim: int,
        depth: int,
        heads: int,
        hidden: int,
        num_classes: int,
        in_channels: int = 1,
    ) -> None:
        super().__init__()
        if image_size % patch_size or dim % heads:
            raise SettingError(
                f"image_size is {image_size} with patch_size {patch_size}, and dim {dim} with {heads} heads; "
                "expected patch_size to divide image_size, and heads to divide dim."
            )
        self.patches = nn.Conv2d(in_channels, dim, patch_size, stride=patch_size)
        tokens = (image_size // patch_size) ** 2
        self.position = nn.Parameter(torch.randn(1, tokens, dim) * 0.02)
        self.blocks = nn.Sequential(*(TransformerBlock(dim, heads, hidden) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self.classifier = nn.Linear(dim, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.position
        return self.classifier(self.norm(self.blocks(tokens)).mean(1))  # type: ignore[no-any-return]


@register_model("vision_transformer")
def vision_transformer(num_classes: int = 10, width: float = 1.0, depth: float = 1.0) -> VisionTransformer:
    """49 tokens of 64 numbers, four blocks, for 28×28 pictures."""
    dim, blocks = scale_channels(64, width), scale_repeats(4, depth)
    return VisionTransformer(28, 4, dim, blocks, heads=4, hidden=2 * dim, num_classes=num_classes)


@register_model("vision_transformer_224", (3, 224, 224))
def vision_transformer_224(
    num_classes: int = 10, width: float = 1.0, depth: float = 1.0
) -> VisionTransformer:
    """The size of ViT-Ti/16 (Touvron et al., 2021): 196 tokens of 192 numbers, twelve blocks, three heads."""
    dim, blocks = scale_channels(192, width, 24), scale_repeats(12, depth)
    return VisionTransformer(
        224, 16, dim, blocks, heads=3, hidden=4 * dim, num_classes=num_classes, in_channels=3
    )
