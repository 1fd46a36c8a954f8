"""`python -m bench`: see `make bench` and `make bench-quick`."""

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Final

from bench import report, results
from bench.build import Unavailable
from bench.engines import QUICK
from bench.run import Plan, run
from weaklink.errors import BrokerError

_FOLDER: Final = Path("build/bench")
_EVENTS: Final = 3_000_000
_ROUNDS: Final = 3
_HEAP_MIB: Final = 1_536


def main() -> int:
    """0: every engine that could be installed gave exactly the right output."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help=f"only {', '.join(QUICK)}, one round unless --rounds says otherwise"
    )
    parser.add_argument("--events", type=int, default=_EVENTS, help="events; slow engines take fewer")
    parser.add_argument("--rounds", type=int, help=f"rounds, {_ROUNDS} by default")
    parser.add_argument("--engines", help="names, with commas")
    parser.add_argument("--heap-mib", type=int, default=_HEAP_MIB, help="heap of each JVM peer")
    parser.add_argument(
        "--folder", type=Path, help=f"where results go, {_FOLDER} (--quick: {_FOLDER / 'quick'}) by default"
    )
    parser.add_argument("--peers", type=Path, default=_FOLDER / "peers", help="where peers are installed")
    given = parser.parse_args()
    # So that whoever ends us also ends the broker and the engine that runs.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    names = tuple(given.engines.split(",")) if given.engines else QUICK if given.quick else None
    rounds = given.rounds or (1 if given.quick else _ROUNDS)
    folder = given.folder or (_FOLDER / "quick" if given.quick else _FOLDER)
    try:
        found = run(Plan(given.events, rounds, names, given.heap_mib, folder, given.peers))
    except (ValueError, Unavailable, BrokerError) as error:
        print(f"the benchmark cannot run: {error}", file=sys.stderr)
        return 2
    path = results.write(found, folder)
    document = json.loads(path.read_text(encoding="utf-8"))
    text = report.table(document)
    (folder / "results.md").write_text(text, encoding="utf-8")
    report.draw(document, folder / "engines.svg")
    print(text)
    return 0 if all(one.correct is not False for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
