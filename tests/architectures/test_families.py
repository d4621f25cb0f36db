from course_lib import registry
from course_lib.architectures import families, list_models


def test_every_family_has_entered_the_registry() -> None:
    modules = {entry.build.__module__.rpartition(".")[2] for entry in registry.MODELS.values()}
    assert modules == set(families.__all__)
    assert len(list_models()) == 2 * len(families.__all__) + 2  # each at two sizes, "tiny" and "compact"
