"""Skips by name, and in CI no skips of what CI must not do without."""

import pytest

from tests.prerequisites import require


def test_what_a_machine_lacks_skips_a_test_and_fails_it_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    """A green CI that ran none of the faults would say nothing."""
    require(())
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no Java; no Maven"):
        require(["no Java", "no Maven"])
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match="no Java; no Maven"):
        require(["no Java", "no Maven"])
