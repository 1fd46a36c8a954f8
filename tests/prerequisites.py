"""What a machine lacks for a test: it is skipped by name, and in CI, which installs these (deploy/test-prerequisites), it fails."""

import os
from collections.abc import Sequence

import pytest


def in_ci() -> bool:
    """Whether .ci/run, or another CI, runs the tests."""
    return "CI" in os.environ


def require(missing: Sequence[str]) -> None:
    """Go on where nothing is missing. Skips, or in CI fails, the test with these messages."""
    if not missing:
        return
    if in_ci():
        pytest.fail("CI must not do without this test, and lacks what it needs: " + "; ".join(missing), pytrace=False)
    pytest.skip("; ".join(missing))
