"""What the columnar stages made of the events: links, activity and shared identifiers, from the Arrow messages on their topics."""

import io
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from chaos.verifier.events import Expected, LinkKey, UsageKey
from chaos.verifier.findings import Findings

_NODE: Final = ["kind", "epoch", "identifier", "tail", "slot"]
_MERGE_CHUNKS: Final = 400
_REFRESH_US: Final = 6 * 3_600_000_000
_SHARED_MIN, _HUB_MAX = 2, 1000


@dataclass
class Sums:
    """Rows of many chunks, kept as sums of `values` by `keys`."""

    keys: list[str]
    values: list[str]
    chunks: list[pl.DataFrame] = field(default_factory=list)
    pending: int = 0

    def take(self, record: Any) -> None:
        """One message."""
        frame = pl.read_ipc_stream(io.BytesIO(record.value))
        texts = [pl.col(name).cast(pl.String) for name, dtype in frame.schema.items() if name in self.keys and isinstance(dtype, pl.Enum)]  # fmt: skip
        numbers = [pl.col(name).cast(pl.Int64) for name in self.values]
        self.chunks.append(frame.with_columns(*texts, *numbers).select(*self.keys, *self.values))
        self.pending += 1
        if self.pending == _MERGE_CHUNKS:
            self.chunks, self.pending = [self.total()], 0

    def total(self) -> pl.DataFrame:
        """A row for each key."""
        if not self.chunks:
            return pl.DataFrame(schema=[*self.keys, *self.values])
        return pl.concat(self.chunks).group_by(self.keys).agg(pl.col(self.values).sum())


@dataclass
class Columns:
    """Fed with `weaklink.activity`, `weaklink.links` and `weaklink.shared`."""

    activity: Sums = field(
        default_factory=lambda: Sums(
            ["account", "party", "account_name", "record"], ["events", "requests", "input_tokens", "output_tokens"]
        )
    )
    links: Sums = field(default_factory=lambda: Sums([*_NODE, "account"], ["mentions", "requests"]))
    shared: list[pl.DataFrame] = field(default_factory=list)

    def take_shared(self, record: Any) -> None:
        """One message of `weaklink.shared`."""
        frame = pl.read_ipc_stream(io.BytesIO(record.value))
        self.shared.append(frame.select(*_NODE, "account", pl.col("last_seen_us") // _REFRESH_US))

    def compare(self, expected: Expected, found: Findings, *, shared: bool = True) -> None:
        """Activity and links against the events; shared identifiers against the links."""
        usage: dict[UsageKey, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        names: dict[int, tuple[str, str]] = {}
        for account, party, name, record, *sums in self.activity.total().rows():
            names[account] = (party, name or "")
            for at, value in enumerate(sums):
                usage[party, name or "", record][at] += value
        for usage_key in expected.usage.keys() | usage.keys():
            found.compare("activity", usage_key, expected.usage.get(usage_key, [0] * 4), usage.get(usage_key, [0] * 4))
        links = self.links.total()
        self._compare_links(expected, links, names, found)
        if shared:
            self._compare_shared(links, found)

    def _compare_links(
        self, expected: Expected, links: pl.DataFrame, names: dict[int, tuple[str, str]], found: Findings
    ) -> None:
        sums: dict[LinkKey, list[int]] = defaultdict(lambda: [0, 0])
        pairs = links.group_by(*_NODE[:-1], "account").agg(pl.col("mentions", "requests").sum())
        for kind, epoch, identifier, tail, account, mentions, requests in pairs.rows():
            token = bytes((kind, epoch)) + identifier.to_bytes(8, "little") + tail.to_bytes(8, "little")[1:]
            at = sums[(token, *names.get(account, ("?", str(account))))]
            at[0] += mentions
            at[1] += requests
        for key in expected.leased - sums.keys():
            found.loss(1, f"links of a lease {key}")
        for key in (expected.links.keys() | sums.keys()) - expected.leased:
            found.compare("links", key, expected.links.get(key, [0, 0]), sums.get(key, [0, 0]))

    def _compare_shared(self, links: pl.DataFrame, found: Findings) -> None:
        """Every holder of an identifier that has two is said, and said once in each of correlate's periods of refresh."""
        holders = links.with_columns(pl.len().over(_NODE).alias("holders"))
        wanted = holders.filter((pl.col("holders") >= _SHARED_MIN) & (pl.col("holders") <= _HUB_MAX))
        columns = [*_NODE, "account"]
        if not self.shared:
            if wanted.height:
                found.loss(wanted.height, "nothing is on weaklink.shared")
            return
        said = pl.concat(self.shared)
        missing = wanted.join(said.select(columns).unique(), on=columns, how="anti")
        if missing.height:
            found.loss(missing.height, f"shared identifiers, e.g. {missing.row(0)}")
        times = said.group_by(said.columns).len().filter(pl.col("len") > 1)
        if times.height:
            found.duplicate(int((times["len"] - 1).sum()), f"shared identifiers, e.g. {times.row(0)}")
        found.counted["shared"] = said.height
