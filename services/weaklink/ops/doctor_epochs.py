"""The doctor's finding about epochs of keys: whose overlap is over, and whose tokens count all the same, because nobody ended them.

When an overlap ends is written in the key file only; that an epoch is over is what the operators say (`weaklink epochs expire`).
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from weaklink.epochs import Expiry, oldest_in_force
from weaklink.epochs_topic import read_expiries
from weaklink.errors import ConfigurationError
from weaklink.ops.doctor import Finding, Level, ok
from weaklink.partner.keys import Key, load_keys
from weaklink.settings import Settings

_CHECK: Final = "epochs"
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


def examine_epochs(settings: Settings, now_seconds: float) -> Finding:
    """What the key file of this machine and the list of expired epochs say together. `now_seconds`: since 1970.

    Raises BrokerError when that list cannot be read.
    """
    path = settings.tokeniser.key_file or settings.partner.key_file
    if path is None:
        return ok(
            _CHECK, "no key file here (WEAKLINK_TOKENISER__KEY_FILE): run the doctor where it is, too, after a rotation"
        )
    try:
        keys = load_keys(path)
    except ConfigurationError as error:
        return Finding(_CHECK, Level.WARNING, str(error), "mend it, or unset WEAKLINK_TOKENISER__KEY_FILE")
    return epochs_finding(keys, read_expiries(settings.kafka), datetime.fromtimestamp(now_seconds, UTC))


def epochs_finding(keys: Iterable[Key], expiries: Iterable[Expiry], now: datetime) -> Finding:
    """Epochs that no key is in use of any more, and that have no end among the expiries, not even a future one."""
    expiries, ends = list(expiries), dict[int, datetime]()
    for key in keys:
        end = key.valid_until or _NEVER
        ends[key.epoch] = max(ends.get(key.epoch, end), end)
    ended = max((one.epoch for one in expiries), default=0)
    late = sorted(epoch for epoch, end in ends.items() if end <= now and epoch > ended)
    if late:
        since = "; ".join(
            f"the overlap of epoch {epoch} is over since {ends[epoch]:%Y-%m-%d %H:%M} UTC" for epoch in late
        )
        fix = f'weaklink epochs expire {late[-1]} --reason "its overlap is over"'
        return Finding(_CHECK, Level.WARNING, f"{since}; its tokens still count, whoever makes them", fix)
    return ok(_CHECK, f"the oldest in force is {oldest_in_force(expiries, now)}; no overlap is over that was not ended")
