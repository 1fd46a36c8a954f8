"""The short form of faults that strike the services themselves: real Kafka, a real ledger, kill -9 and SIGSTOP."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from chaos.faults import commit_edges, members, rebuild, zombie
from chaos.lab import Lab
from chaos.row import Row

from chaos import edges
from weaklink.ops.kafka_jars import missing_tools

ROOT = Path(edges.__file__).parents[1]


def unharmed(row: Row) -> None:
    """Nothing lost, nothing twice, nothing refused wrongly, and the fault really struck. How long it took is a matter of the machine."""
    assert not row.failures(), row.to_json()
    assert row.trials > 0


@pytest.mark.kafka
@pytest.mark.timeout(900)
@pytest.mark.skipif(bool(missing_tools()), reason="; ".join(missing_tools()))
def test_workers_that_die_sleep_come_and_go_harm_nothing_and_their_state_can_be_rebuilt(tmp_path: Path) -> None:
    """Every edge of a commit once; two sleepers; members of two groups; then the state, from snapshots and from the log.

    One laboratory for all of them: what each leaves behind, aborted transactions first of all, is what the next one has to live with.
    """
    environment = {"WEAKLINK_KAFKA__SESSION_TIMEOUT_MS": "6000", "WEAKLINK_STREAM__SNAPSHOT_SECONDS": "2"}
    with Lab(tmp_path, environment=environment) as lab:
        lab.start_all()
        unharmed(commit_edges.torment(lab, kills=1))
        unharmed(zombie.torment(lab, rounds=1, stages=("ingest", "enforce")))
        unharmed(members.torment(lab, rounds=1, few=1, many=2, stages=("correlate", "campaigns")))
        unharmed(rebuild.compare(lab, ways=("intact", "none")))


def test_the_switch_strikes_once_at_the_edge_that_it_is_set_to() -> None:
    """A process of its own: it dies at the second of three, and says so."""
    code = "from chaos.edges import Switch; s = Switch(2, 9); s.passed(); print('one', flush=True); s.passed(); print('two')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (run.returncode, run.stdout.split()) == (-signal.SIGKILL, ["one"])
    assert '"event": "strike"' in run.stderr


def test_the_product_has_no_switch() -> None:
    """Nothing of the laboratory is imported by the package that is shipped."""
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "services").rglob("*.py")]
    assert not [text for text in sources if "import chaos" in text or "from chaos" in text]
