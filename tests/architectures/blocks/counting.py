"""What the tests of all blocks share: counting a module, and giving one module the weights of another."""

import torch
from torch import nn

from course_lib.benchmarking.macs import profile_layers


def counted(block: nn.Module, channels: int, side: int) -> tuple[int, int]:
    """Return the MACs and parameters that are counted while a block runs on ``side`` × ``side`` pixels."""
    profile = profile_layers(block, torch.zeros(1, channels, side, side))
    return profile.macs, profile.params


def output_size(block: nn.Module, channels: int, side: int) -> tuple[int, ...]:
    """Return (C, H, W) of what a block makes of two pictures."""
    with torch.no_grad():
        return tuple(block(torch.zeros(2, channels, side, side)).shape[1:])


def with_weights_of(ours: nn.Module, theirs: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Draw all their numbers, put them into ours in their order, and return both in evaluation mode."""
    drawn = {
        name: torch.rand_like(tensor) + 0.5 if tensor.is_floating_point() else tensor
        for name, tensor in theirs.state_dict().items()
    }
    theirs.load_state_dict(drawn)
    names = list(ours.state_dict())
    assert len(names) == len(drawn)
    ours.load_state_dict(dict(zip(names, drawn.values(), strict=True)))
    return ours.eval(), theirs.eval()
