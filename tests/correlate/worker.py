"""A correlate worker as a process of its own, for tests that kill it: `python -m tests.correlate.worker BOOTSTRAP LINKS SHARED SLOT FOLDER`."""

import signal
import sys
from pathlib import Path

from weaklink.correlate.stage import Correlate
from weaklink.kafka_options import KafkaConfig
from weaklink.settings import Settings
from weaklink.stream.config import StreamConfig
from weaklink.stream.runner import Runner
from weaklink.topology import StageSpec


def main(bootstrap: str, links: str, shared: str, slot: str, folder: str) -> None:
    """Run until SIGTERM, with snapshots twice a second and one chunk a transaction, so that a kill finds something half done."""
    configuration = Settings(
        kafka=KafkaConfig(bootstrap_servers=bootstrap, bootstrap_timeout_ms=60_000, session_timeout_ms=6000),
        stream=StreamConfig(snapshot_seconds=0.5, chunks_max=1, linger_ms=0, tick_seconds=0.1),
        data_folder=Path(folder),
    )
    spec = StageSpec("correlate", "columnar", f"weaklink.{slot}", (links,), (shared,), "correlate under test")
    runner = Runner(Correlate(configuration, output=shared), spec, configuration, slot)
    signal.signal(signal.SIGTERM, lambda *_: runner.stop())
    runner.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
