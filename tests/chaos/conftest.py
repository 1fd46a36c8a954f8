"""What the short forms of the laboratory need of the machine."""

import pytest

from chaos import postgres
from tests.prerequisites import require


@pytest.fixture(scope="session")
def own_postgres() -> None:
    """For tests that start a PostgreSQL of their own."""
    require(
        () if postgres.installed() else ["PostgreSQL is not installed, or this is root and there is no user postgres"]
    )
