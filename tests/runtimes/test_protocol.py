import pytest

from course_lib.errors import SettingError
from course_lib.runtimes.protocol import LoadedModel, Runtime, check_threads


def test_a_class_without_the_methods_does_not_pass():
    class Half:
        name = "half"

        def why_unavailable(self):
            return "half of it is missing"

    assert not isinstance(Half(), Runtime)
    assert not isinstance(Half(), LoadedModel)


def test_threads():
    check_threads(1)
    with pytest.raises(SettingError) as caught:
        check_threads(0)
    assert str(caught.value) == "threads must be a whole number of at least 1, not 0; pass threads=1."
