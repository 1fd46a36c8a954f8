"""The console's log on PostgreSQL: lines of JSON without control characters or parameters, whatever is asked and whatever goes wrong."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.console.conftest import PASSWORD, Case, make_case
from tests.console.visitor import Visitor, console
from tests.enforce.conftest import new_database
from tests.log_lines import log_lines
from weaklink.kafka_options import KafkaConfig

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]


@pytest.fixture
def case(kafka: KafkaConfig, postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    return make_case(kafka, tmp_path, monkeypatch, new_database(postgres))


@pytest.fixture
def visitor(case: Case, tmp_path: Path) -> Iterator[Visitor]:
    environment = {
        **case.settings.kafka.environment(),
        "WEAKLINK_ENFORCE__LEDGER_URL": str(case.settings.enforce.ledger_url),
        "WEAKLINK_DATA_FOLDER": str(tmp_path),
    }
    before = f"from weaklink import topology; topology.CAMPAIGNS = {case.topic!r}; "
    with console(environment, tmp_path / "console.log", before) as found:
        yield found


def test_whatever_goes_wrong_is_one_line_of_json(visitor: Visitor, case: Case, tmp_path: Path) -> None:
    """A NUL and a page that no database can count to are refused, and say nothing.

    A database that lacks a table gives a page, and one line without the statement's parameters.
    """
    assert visitor.sign_in("a\x00b", PASSWORD) == 400
    assert visitor.sign_in("olga", PASSWORD) == 200
    nul = ("/actions/%00", "/campaigns/x%00", "/accounts/lab-a/%00", "/actions?campaign=%00", "/?q=a%00b")
    for path in (*nul, "/actions?page=one", f"/actions?page={10**20}", f"/queue?page={2**63}"):
        assert visitor.ask(path)[0] == 400, path
    with psycopg.connect(str(case.settings.enforce.ledger_url), autocommit=True) as connection:
        connection.execute("ALTER TABLE actions RENAME TO gone")
    status, page = visitor.ask("/actions?campaign=planted-parameter%1b[2J")
    assert (status, "it is in the log" in page) == (500, True)
    lines = log_lines((tmp_path / "console.log").read_bytes())
    requests = [(one["route"], one["status"], one["user"]) for one in lines if one["event"] == "request"]
    assert ("/login", 400, None) in requests
    assert ("/actions/{action}", 400, "olga") in requests
    (failed,) = [one for one in lines if one["level"] == "error"]
    assert (failed["event"], failed["route"], failed["status"], failed["user"]) == ("request", "/actions", 500, "olga")
    assert "UndefinedTableError" in failed["exception"]
    assert "planted-parameter" not in str(lines)
