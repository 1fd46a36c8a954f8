"""A campaigns worker as a process of its own, for tests that kill it: `python -m tests.campaigns.worker BOOTSTRAP SLOT FOLDER ROLE=TOPIC...`."""

import signal
import sys
from pathlib import Path

from tests.campaigns.test_track import PARTIES
from weaklink.campaigns.messages import Topics
from weaklink.campaigns.stage import CampaignsStage
from weaklink.kafka_options import KafkaConfig
from weaklink.settings import Settings
from weaklink.stream.config import StreamConfig
from weaklink.stream.runner import Runner
from weaklink.topology import StageSpec


def main(bootstrap: str, slot: str, folder: str, *roles: str) -> None:
    """Run until SIGTERM, with snapshots twice a second and one chunk a transaction, so that a kill finds something half done."""
    topics = Topics(**dict(role.split("=", 1) for role in roles))
    configuration = Settings(
        kafka=KafkaConfig(bootstrap_servers=bootstrap, bootstrap_timeout_ms=60_000, session_timeout_ms=6000),
        stream=StreamConfig(snapshot_seconds=0.5, chunks_max=1, linger_ms=0, tick_seconds=0.1),
        data_folder=Path(folder),
        clock="event",
    )
    spec = StageSpec(
        "campaigns",
        "columnar",
        f"weaklink.{topics.activity}",
        (topics.activity, topics.shared, topics.feedback),
        (topics.campaigns, topics.decisions),
        "campaigns under test",
    )
    runner = Runner(CampaignsStage(configuration, lambda: PARTIES, topics), spec, configuration, slot)
    signal.signal(signal.SIGTERM, lambda *_: runner.stop())
    runner.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
