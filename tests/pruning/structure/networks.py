"""Small networks, each with one thing that ties channels."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Net(nn.Module):
    """Layers by name, and a forward pass that is given as a function of the network and its input."""

    def __init__(self, forward: Callable[["Net", Tensor], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.steps = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.steps(self, x)


class Scaled(nn.Module):
    """A parameter for each channel, as in ConvNeXt."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.randn(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class Tokens(nn.Module):
    """A class token and a position embedding before two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 6), nn.Linear(6, 3)
        self.token = nn.Parameter(torch.randn(1, 1, 6))
        self.position = nn.Parameter(torch.randn(1, 17, 6))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x.flatten(2).transpose(1, 2))
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.position
        return self.second(x)[:, 0]


def conv(inputs: int, outputs: int, groups: int = 1) -> nn.Conv2d:
    """Return a 3×3 convolution that keeps the size."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, groups=groups)


def shuffle(x: Tensor) -> Tensor:
    """Shuffle channels in two groups, as ShuffleNet does."""
    n, c, h, w = x.size()
    return x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)


def gate(net: Net, x: Tensor) -> Tensor:
    """Squeeze and excitation between two convolutions."""
    x = net.a(x)
    return net.b(x * torch.sigmoid(net.up(F.relu(net.down(F.adaptive_avg_pool2d(x, 1))))))


def halves(net: Net, x: Tensor) -> Tensor:
    """Two halves of the channels, one of which is convolved again."""
    left, right = net.a(x).chunk(2, 1)
    return net.c(torch.cat([left, net.b(right)], 1))


def heads(net: Net, x: Tensor) -> Tensor:
    """Attention with fixed sizes in its views."""
    n = x.shape[0]
    tokens = x.flatten(2).transpose(1, 2)
    query, key, value = (layer(tokens).view(n, 16, 3, 2).transpose(1, 2) for layer in (net.q, net.k, net.v))
    weights = F.softmax(query @ key.transpose(-2, -1) / 2**0.5, -1)
    return net.out((weights @ value).transpose(1, 2).reshape(n, 16, 6))


def attend(net: Net, x: Tensor) -> Tensor:
    """torch's own attention."""
    tokens = net.embed(x.flatten(2).transpose(1, 2))
    return net.head(net.attention(tokens, tokens, tokens, need_weights=False)[0])


def norm(channels: int) -> nn.BatchNorm2d:
    """Return a batch norm whose numbers differ for each channel."""
    layer = nn.BatchNorm2d(channels)
    for tensor in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
        nn.init.uniform_(tensor, 0.5, 1.5)
    return layer


def networks() -> dict[str, nn.Module]:
    """Return networks from (N, 4, 4, 4) whose groups can be removed; the weights depend on torch's seed."""
    return {
        "chain": nn.Sequential(conv(4, 6), norm(6), nn.ReLU(), conv(6, 3)),
        "residual": Net(
            lambda net, x: net.c((y := net.norm(net.a(x))) + F.relu(net.b(y))),
            a=conv(4, 6),
            norm=norm(6),
            b=conv(6, 6),
            c=conv(6, 3),
        ),
        "concat": Net(
            lambda net, x: net.c(torch.cat([net.a(x), net.b(x), x], 1)),
            a=conv(4, 3),
            b=conv(4, 5),
            c=conv(12, 3),
        ),
        "depthwise": nn.Sequential(conv(4, 6), conv(6, 12, 6), norm(12), nn.PReLU(12), conv(12, 3)),
        "grouped": nn.Sequential(conv(4, 8), conv(8, 6, 2), nn.Softplus(), conv(6, 3)),
        "one_channel": nn.Sequential(conv(4, 1), conv(1, 5), conv(5, 3)),
        "shuffle": Net(lambda net, x: net.b(shuffle(net.a(x))), a=conv(4, 8), b=conv(8, 3)),
        "shuffle_layer": nn.Sequential(conv(4, 8), nn.ChannelShuffle(2), conv(8, 3)),
        "halves": Net(halves, a=conv(4, 8), b=conv(4, 5), c=conv(9, 3)),
        "slices": Net(
            lambda net, x: net.b((y := net.a(x))[:, :3]) + net.c(y[:, 3:, ...]),
            a=conv(4, 8),
            b=conv(3, 2),
            c=conv(5, 2),
        ),
        "flatten": nn.Sequential(conv(4, 5), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(20, 3)),
        "fixed_view": Net(lambda net, x: net.b(net.a(x).view(-1, 5 * 16)), a=conv(4, 5), b=nn.Linear(80, 3)),
        "gate": Net(gate, a=conv(4, 6), down=nn.Conv2d(6, 3, 1), up=nn.Conv2d(3, 6, 1), b=conv(6, 3)),
        "scale": nn.Sequential(conv(4, 6), Scaled(6), conv(6, 3)),
        "tokens": Tokens(),
        "heads": Net(heads, q=nn.Linear(4, 6), k=nn.Linear(4, 6), v=nn.Linear(4, 6), out=nn.Linear(6, 3)),
        "attention": Net(
            attend,
            embed=nn.Linear(4, 6),
            attention=nn.MultiheadAttention(6, 3, batch_first=True),
            head=nn.Linear(6, 3),
        ),
        "shared": Net(
            lambda net, x: net.c(net.b(F.relu(net.b(net.a(x))))), a=conv(4, 6), b=conv(6, 6), c=conv(6, 3)
        ),
        "group_norm": nn.Sequential(conv(4, 6), nn.GroupNorm(3, 6), conv(6, 3)),
        "instance_norm": nn.Sequential(conv(4, 6), nn.InstanceNorm2d(6, affine=True), conv(6, 3)),
        "transposed": nn.Sequential(conv(4, 6), nn.ConvTranspose2d(6, 5, 2, 2), conv(5, 3)),
        "one_dimension": nn.Sequential(
            nn.Flatten(2), nn.Conv1d(4, 6, 3), nn.BatchNorm1d(6), nn.AvgPool1d(2), nn.Conv1d(6, 3, 1)
        ),
        "stack": Net(
            lambda net, x: net.c(torch.stack([net.a(x), net.b(x)], 1).amax(1)),
            a=conv(4, 6),
            b=conv(4, 6),
            c=conv(6, 3),
        ),
        "padded": Net(
            lambda net, x: net.b(F.interpolate(F.pad(net.a(x), (1, 1)), scale_factor=2.0).mean((2, 3))),
            a=conv(4, 6),
            b=nn.Linear(6, 3),
        ),
    }
