"""Torchvision's networks without their trained weights, which would have to be downloaded.

For sizes, latencies and the question whether two compilers compute the same, any weights do, as long as the
activations keep the scale that they have in a trained network. Fresh weights do not keep it: batch norms
still pass everything on as it comes, and it grows or shrinks from layer to layer. So the norms are set from
some random pictures first.
"""

import torch
from torch import nn

from course_lib.data.torchvision_import import import_torchvision
from course_lib.errors import UnknownNameError
from course_lib.reproducibility import seeded_torch, torch_generator

PICTURE = (3, 224, 224)
SETTLING_PICTURES = 8


def torchvision_names() -> list[str]:
    """Return the names of torchvision's networks that classify pictures, sorted."""
    import_torchvision()
    from torchvision import models

    return sorted(models.list_models(module=models))


def untrained_torchvision(name: str, seed: int = 0) -> nn.Module:
    """Return one of torchvision's networks with random weights and settled norms, in evaluation mode.

    Raises
    ------
    UnknownNameError
        If torchvision has no such network.
    MissingPackageError
        If torchvision is not installed.
    """
    names = torchvision_names()
    if name not in names:
        raise UnknownNameError("network of torchvision", name, names)
    from torchvision.models import get_model

    with seeded_torch(seed):
        model: nn.Module = get_model(name, weights=None)
    pictures = torch.randn(SETTLING_PICTURES, *PICTURE, generator=torch_generator(seed))
    return settle_norms(model, pictures)


@torch.no_grad()
def settle_norms(model: nn.Module, inputs: torch.Tensor) -> nn.Module:
    """Set mean and variance of every batch norm to what these inputs give, in place; return the model.

    It is in evaluation mode afterwards.
    """
    model.eval()
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches, here one
        norm.train()
    model(inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return model.eval()
