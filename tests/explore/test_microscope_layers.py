from hypothesis import given
from hypothesis import strategies as st

from course_lib.pruning.structure.removal import remove
from tests.explore.microscope_net import HEAD, STEM, tied_engine

CHANNELS = st.fixed_dictionaries(
    {STEM: st.sets(st.integers(0, 7), max_size=7), HEAD: st.sets(st.integers(0, 5), max_size=5)}
)


def test_the_layers_are_those_with_weights_in_order():
    layers = tied_engine().network.layers
    assert [(layer.path, layer.kind, layer.outputs, layer.inputs) for layer in layers] == [
        ("stem", "conv 3×3", 8, 1),
        ("block", "conv 3×3", 8, 8),
        ("depthwise", "depthwise 3×3", 8, 1),
        ("head", "conv 1×1", 6, 8),
        ("classifier", "linear", 3, 216),
    ]
    assert [layer.groups for layer in layers] == [(STEM,), (STEM,), (STEM,), (HEAD,), ()]


def test_a_layer_says_what_goes_with_it_and_why():
    stem, *_, classifier = tied_engine().network.layers
    tied, filtered, read = stem.why
    assert tied.startswith("stem and block must lose the same channels, because the step add ")
    assert filtered == "depthwise has a filter for every one of these channels, which goes with it."
    assert read == "block and head read these channels and lose the inputs."
    assert any("norm (BatchNorm2d)" in line for line in stem.details)
    assert classifier.details == ()
    (reason,) = classifier.why
    assert reason.startswith("The output channels of 'classifier' cannot be removed:")


def test_roles_name_the_layers_with_weights():
    assert tied_engine().network.roles(STEM) == {
        "stem": ("out",),
        "block": ("in", "out"),
        "depthwise": ("pass",),
        "head": ("in",),
    }


def test_widths_worked_by_hand():
    widths = tied_engine().network.widths({STEM: [1, 6], HEAD: [0]})
    # Each channel of the head is 6 × 6 pixels, which are columns of the classifier.
    assert [tuple(width) for width in widths] == [(6, 1), (6, 6), (6, 1), (5, 6), (3, 180)]


@given(CHANNELS)
def test_widths_are_those_of_the_smaller_module(chosen: dict[str, set[int]]):
    engine = tied_engine()
    removed = {name: sorted(channels) for name, channels in chosen.items()}
    smaller = remove(engine.channels.dependencies, removed, check=False)
    for layer, width in zip(engine.network.layers, engine.network.widths(removed), strict=True):
        assert tuple(smaller.get_submodule(layer.path).weight.shape[:2]) == tuple(width)
