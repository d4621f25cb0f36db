from course_lib import registry
from course_lib.architectures import families, list_models


def test_every_family_has_entered_the_registry() -> None:
    modules = {factory.__module__.rpartition(".")[2] for factory in registry.MODELS.values()}
    assert modules == set(families.__all__)
    assert list_models() == ["depthwise", "plain_conv", "residual", "tiny", "vision_transformer"]
