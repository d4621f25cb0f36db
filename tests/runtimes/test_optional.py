import pytest

from tests.runtimes.optional import NOT_EVERYWHERE, REQUIRED, needs


def test_what_is_installed_is_tested(monkeypatch):
    monkeypatch.setenv(REQUIRED, "1")
    outcome = "tested"
    try:
        needs("numpy")
    except (pytest.skip.Exception, pytest.fail.Exception) as left_out:
        outcome = str(left_out)  # a skip would end this test without a failure
    assert outcome == "tested"


def test_what_is_missing_is_left_out(monkeypatch):
    monkeypatch.delenv(REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="is not installed; install it with: make"):
        needs("no_such_package")


def test_what_is_not_offered_for_this_machine_is_left_out(monkeypatch):
    monkeypatch.setenv(REQUIRED, "1")
    monkeypatch.setitem(NOT_EVERYWHERE, "no_such_package", False)
    with pytest.raises(pytest.skip.Exception, match="no_such_package is not installed"):
        needs("no_such_package")


def test_what_is_missing_is_a_failure_where_it_must_be_there(monkeypatch):
    monkeypatch.setenv(REQUIRED, "1")
    with pytest.raises(pytest.fail.Exception, match="no_such_package is not installed"):
        needs("no_such_package")
