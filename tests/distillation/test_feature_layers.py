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
