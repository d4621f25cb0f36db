import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from course_lib import registry
from course_lib.errors import SettingError, UnknownNameError
from course_lib.registry import ModelEntry, create_model, input_shape, list_models, look_up, register_model


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Put an empty registry in the place of the course's."""
    empty: dict[str, object] = {}
    monkeypatch.setattr(registry, "MODELS", empty)
    return empty


def test_a_registered_model_is_listed_and_built(models: dict[str, object]) -> None:
    @register_model("wide", (3, 8, 8))
    def wide(num_classes: int, width: float, depth: float) -> nn.Linear:
        return nn.Linear(int(7 * width), num_classes)

    @register_model("narrow")
    def narrow(num_classes: int, width: float, depth: float) -> nn.Sequential:
        return nn.Sequential(*(nn.Linear(2, num_classes) for _ in range(int(depth))))

    assert models == {"wide": ModelEntry(wide, (3, 8, 8)), "narrow": ModelEntry(narrow, (1, 28, 28))}
    assert list_models() == ["narrow", "wide"]
    assert list_models((3, 8, 8)) == ["wide"]
    assert list_models((3, 9, 9)) == []
    assert (input_shape("wide"), input_shape("narrow")) == ((3, 8, 8), (1, 28, 28))
    assert create_model("wide").weight.shape == (10, 7)
    assert create_model("wide", width=2).weight.shape == (10, 14)
    assert len(create_model("narrow", num_classes=3, depth=4)) == 4


@given(st.dictionaries(st.text(), st.integers()), st.text())
def test_look_up_finds_what_is_there_and_refuses_the_rest(table: dict[str, int], name: str) -> None:
    if name in table:
        assert look_up(table, "number", name) == table[name]
    else:
        with pytest.raises(UnknownNameError, match="There is no number called"):
            look_up(table, "number", name)


def test_a_name_is_registered_once(models: dict[str, object]) -> None:
    first = register_model("net")(nn.Identity)
    with pytest.raises(
        SettingError, match=r"^A model called 'net' is already registered; register it under another name\.$"
    ):
        register_model("net")(nn.Flatten)
    assert models == {"net": ModelEntry(first, (1, 28, 28))}


def test_a_model_needs_a_known_name_and_a_class(models: dict[str, object]) -> None:
    register_model("net")(lambda num_classes, width, depth: nn.Linear(2, num_classes))
    with pytest.raises(
        UnknownNameError,
        match=r"^There is no model called 'nets'; the known ones are net\. Did you mean 'net'\?$",
    ):
        create_model("nets")
    with pytest.raises(UnknownNameError, match=r"^There is no model called 'nets'; the known ones are net\."):
        input_shape("nets")
    with pytest.raises(SettingError, match=r"^num_classes is 0; expected at least 1\.$"):
        create_model("net", num_classes=0)


@pytest.mark.parametrize("factor", ["width", "depth"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_a_factor_is_above_zero(models: dict[str, object], factor: str, value: float) -> None:
    register_model("net")(lambda num_classes, width, depth: nn.Linear(2, num_classes))
    with pytest.raises(
        SettingError, match=rf"^{factor} is {value}; expected a number above 0, such as 0\.5 or 2\.$"
    ):
        create_model("net", **{factor: value})
