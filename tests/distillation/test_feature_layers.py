import pytest
import torch
from torch import fx, nn

from course_lib.architectures import create_model
from course_lib.distillation.feature_layers import captured, map_shapes, matching_layers
from course_lib.errors import ModelError, UnknownNameError
from tests.distillation.small_nets import SmallNet, small_net

PICTURE = torch.randn(1, 1, 8, 8)


def test_features_are_those_of_the_layers(trained: SmallNet) -> None:
    pictures = torch.randn(5, 1, 8, 8)
    with captured(trained, ["stem", "body"]) as features:
        scores = trained(pictures)
    assert torch.equal(features["stem"], trained.stem(pictures))
    assert torch.equal(trained.head(trained.relu(features["body"]).flatten(1)), scores)


def test_a_traced_graph_has_the_same_paths(trained: SmallNet) -> None:
    graph = fx.symbolic_trace(trained)
    with captured(graph, ["stem.0", "body"]) as features:
        graph(PICTURE)
    assert torch.equal(features["stem.0"], trained.stem[0](PICTURE))


def test_nothing_stays_on_the_network(trained: SmallNet) -> None:
    with pytest.raises(RuntimeError), captured(trained, ["body"]):
        trained(torch.randn(1, 5, 8, 8))
    assert not any(module._forward_hooks for module in trained.modules())


def test_a_layer_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UnknownNameError) as caught, captured(small_net(), ["bodi"], "student"):
        pass
    assert str(caught.value) == (
        "There is no layer in the student called 'bodi'; the known ones are body, head, relu, stem, stem.0, "
        "stem.1. Did you mean 'body'?"
    )


class InPlace(nn.Module):
    """A block as torchvision writes them: the sum and the ReLU overwrite what ``norm`` gave."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.relu = nn.ReLU(inplace=True)
        self.unused = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.norm(x)
        out += x
        return self.relu(out)


def test_a_layer_that_a_later_step_overwrites_is_refused() -> None:
    net = InPlace().eval()
    with captured(net, ["norm", "relu"], "student") as features:
        out = net(PICTURE)
    assert torch.equal(features["relu"], out)
    with pytest.raises(ModelError) as caught:
        features["norm"]
    assert str(caught.value) == (
        "A later step of the student works in place and wrote over what the layer norm gave; compare a layer "
        "after that step, or write the step without in place: out = out + x for out += x, nn.ReLU() for "
        "nn.ReLU(inplace=True)."
    )
    with pytest.raises(ModelError, match="wrote over what the layer norm gave"):
        map_shapes(net, ["norm"], PICTURE)
    assert matching_layers(net, small_net(), PICTURE) == (("relu", "stem"),)


def test_in_inference_mode_the_layer_itself_is_kept() -> None:
    net = InPlace().eval()
    with torch.inference_mode(), captured(net, ["norm"]) as features:
        net(PICTURE)
    assert torch.equal(features["norm"], net.norm(PICTURE))


def test_a_layer_without_an_output_says_so_when_it_is_read() -> None:
    net = nn.ModuleDict({"lstm": nn.LSTM(8, 4), "unused": nn.ReLU()})
    with captured(net, ["lstm", "unused"], "teacher") as features:
        net["lstm"](torch.zeros(1, 8))
    for path, given in (("unused", "is not run"), ("lstm", "gives a tuple, not a tensor,")):
        with pytest.raises(ModelError) as caught:
            features[path]
        assert str(caught.value) == (
            f"The layer {path} of the teacher {given} for these pictures, so there is nothing to compare; "
            "choose another layer."
        )


def test_shapes_are_of_one_picture_and_leave_the_modes() -> None:
    net = small_net().train()
    net.stem[0].eval()
    before = net.stem[1].running_mean.clone()
    assert map_shapes(net, ["body", "stem"], PICTURE) == [(4, 4, 4), (2, 8, 8)]
    assert net.training
    assert not net.stem[0].training
    assert torch.equal(net.stem[1].running_mean, before)


def test_a_layer_without_maps_is_refused() -> None:
    with pytest.raises(ModelError) as caught:
        map_shapes(small_net(), ["head"], PICTURE, "teacher")
    assert str(caught.value) == (
        "The layer head of the teacher gives (3,) for one picture, but maps of shape (C, H, W) are compared; "
        "choose a layer before the pooling and the classifier."
    )
    net = small_net()
    net.unused = nn.Conv2d(1, 1, 1)
    with pytest.raises(ModelError, match="The layer unused of the model gives no tensor"):
        map_shapes(net, ["unused"], PICTURE)


def test_layers_are_matched_by_size() -> None:
    # ReLU runs at both sizes; it is seen the last time, at the smaller.
    assert matching_layers(small_net(), small_net(1, channels=4), PICTURE) == (
        ("stem", "stem"),
        ("relu", "relu"),
    )
    tiny, residual = create_model("tiny"), create_model("residual")
    pairs = matching_layers(tiny, residual, torch.zeros(1, 1, 28, 28))
    assert pairs == (("blocks.0", "blocks.2"), ("blocks", "blocks"))
