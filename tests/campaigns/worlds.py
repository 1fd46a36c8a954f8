"""Small worlds for these tests: benign life and campaigns as ACTIVITY and SHARED frames, with the truth beside them."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from weaklink import frames
from weaklink.account_keys import account_hash
from weaklink.records.identifiers import IdentifierKind as Kind

START_US = 1_790_000_000_000_000
DAY_US = 86_400_000_000
BENIGN_TASKS = (0.55, 0.06, 0.03, 0.05, 0.15, 0.10, 0.06)
CAMPAIGN_TASKS = (0.08, 0.25, 0.15, 0.12, 0.20, 0.12, 0.08)
TASKS = frames.TASK.categories.to_list()


@dataclass
class World:
    """Accounts are added group by group; `activity` and `shared` give the frames of everything."""

    seed: int = 1
    accounts: list[pl.DataFrame] = field(default_factory=list)
    links: list[pl.DataFrame] = field(default_factory=list)
    usage: list[pl.DataFrame] = field(default_factory=list)
    extra: list[pl.DataFrame] = field(default_factory=list)
    _values: int = 0

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def values(self, n: int) -> npt.NDArray[np.int64]:
        """n identifiers that nobody has used before."""
        self._values += n
        return np.arange(self._values - n, self._values)

    def add(
        self,
        name: str,
        party: str | list[str],
        n: int,
        *,
        truth: bool = False,
        age_days: tuple[float, float] = (0.0, 60.0),
        windows: tuple[int, int] = (3, 12),
        tasks: tuple[float, ...] = BENIGN_TASKS,
        sigma: float = 1.0,
        output_ratio: float = 1.0,
        plan: str = "PAID",
        verified: str = "EMAIL",
        day: float = 0.0,
        end_user: bytes | None = None,
    ) -> pl.DataFrame:
        """n accounts with their opening and usage; returns (row, party, account_name, first_us)."""
        rng = self.rng
        opened = START_US + ((day - rng.uniform(*age_days, n)) * DAY_US).astype(np.int64)
        names = [f"{name}-{i}" for i in range(n)]
        frame = pl.DataFrame(
            {
                "party": [party] * n if isinstance(party, str) else party,
                "account_name": names,
                "opened_us": opened,
                "plan": plan,
                "verified": verified,
                "truth": truth,
                "group": name,
            }
        )
        self.accounts.append(frame)
        w = rng.integers(windows[0], windows[1] + 1, n) if windows[1] else np.zeros(n, int)
        row = np.repeat(np.arange(n), w)
        m = len(row)
        at = START_US + (day * DAY_US + rng.uniform(0, 1, m) * DAY_US).astype(np.int64)
        log_requests = rng.normal(3.0, sigma, m)
        requests = np.maximum(np.exp(log_requests), 1).astype(np.int64)
        tokens_in = requests * 500
        self.usage.append(
            frame[row.tolist(), ["party", "account_name"]].with_columns(
                pl.Series("task", rng.choice(TASKS, m, p=np.array(tasks) / sum(tasks)), dtype=pl.String),
                pl.Series("at", at),
                pl.Series("requests", requests),
                pl.Series("input_tokens", tokens_in),
                pl.Series("output_tokens", (tokens_in * output_ratio * np.exp(rng.normal(0, 0.3, m))).astype(np.int64)),
                pl.lit(end_user).cast(pl.Binary).alias("end_user"),
            )
        )
        return frame

    def link(
        self, frame: pl.DataFrame, kind: Kind, value: npt.ArrayLike, *, day: float = 0.0, slot: int | None = None
    ) -> None:
        """Row i of `frame` holds identifier value[i] (negative: none)."""
        slot = int(START_US / DAY_US + day) if kind == Kind.IP and slot is None else slot or 0
        self.links.append(
            frame.select("party", "account_name").with_columns(
                pl.Series("value", np.asarray(value, np.int64)),
                pl.lit(int(kind), pl.UInt8).alias("kind"),
                pl.lit(slot, pl.UInt16).alias("slot"),
                pl.lit(START_US + int(day * DAY_US), pl.Int64).alias("at"),
            ).filter(pl.col("value") >= 0)
        )  # fmt: skip

    def spread(self, n: int, size: int) -> npt.NDArray[np.int64]:
        """Values for n accounts of which `size` at a time, at random, have the same."""
        values = self.values(-(-n // size))
        return self.rng.permutation(np.repeat(values, size)[:n])

    def close(self, frame: pl.DataFrame, reason: str, *, day: float = 1.0) -> None:
        """The party closes these accounts."""
        at = pl.lit(START_US + int(day * DAY_US)).alias("at")
        self.extra.append(frame.select("party", "account_name").with_columns(pl.lit(reason).alias("reason"), at))

    def truth(self) -> pl.DataFrame:
        """account, party, account_name, truth, group."""
        return _hashed(pl.concat(self.accounts)).select("account", "party", "account_name", "truth", "group")

    def activity(self) -> pl.DataFrame:
        """ACTIVITY rows of all accounts."""
        opened = pl.concat(self.accounts).select(
            "party", "account_name", "plan", "verified", pl.lit("AccountOpened").alias("record"),
            pl.col("opened_us").alias("at"),
        )  # fmt: skip
        usage = pl.concat(self.usage).with_columns(
            pl.lit("ApiUsage").alias("record"),
            pl.lit("model-1").alias("model"),
            pl.lit(1, pl.UInt32).alias("windows"),
            pl.col("requests").log().alias("log_requests_sum"),
            pl.col("requests").log().pow(2).alias("log_requests_sq_sum"),
        )
        closed = [frame.with_columns(pl.lit("AccountClosed").alias("record")) for frame in self.extra]
        rows = _hashed(pl.concat([opened, usage, *closed], how="diagonal")).with_columns(
            (pl.col("at") // 3_600_000_000).alias("hour"),
            pl.col("at").alias("first_seen_us"),
            pl.col("at").alias("last_seen_us"),
            pl.col("at").alias("appended_at_us"),
            pl.lit(1).alias("events"),
        )
        return conform(rows, frames.ACTIVITY)

    def shared(self) -> pl.DataFrame:
        """SHARED rows of every identifier with two holders or more."""
        links = _hashed(pl.concat(self.links))
        links = links.with_columns((pl.col("value").cast(pl.UInt64) * 1024 + pl.col("kind")).alias("identifier"))
        grouped = links.group_by("identifier", "slot", "account").agg(
            pl.first("kind"),
            pl.min("at").alias("first_seen_us"),
            pl.max("at").alias("last_seen_us"),
            pl.max("at").alias("appended_at_us"),
            pl.len().alias("mentions"),
        )
        grouped = grouped.with_columns(pl.len().over("identifier", "slot").alias("holders")).filter(
            pl.col("holders") > 1
        )
        return conform(grouped, frames.SHARED)


def _hashed(frame: pl.DataFrame) -> pl.DataFrame:
    return pl.concat(
        [
            part.with_columns(account_hash(str(party), "account_name").alias("account"))
            for (party,), part in frame.group_by("party", maintain_order=True)
        ]
    )


def conform(frame: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """The frame with exactly the schema's columns: what is missing is null, or 0 for numbers that are summed."""
    summed = {"windows", "requests", "input_tokens", "output_tokens", "log_requests_sum", "log_requests_sq_sum", "mentions", "tail", "epoch"}  # fmt: skip
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None))
        .cast(dtype)
        .fill_null(0 if name in summed else None)
        .alias(name)
        if name in summed
        else (pl.col(name) if name in frame.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in schema.items()
    )


def benign_life(world: World, n: int, labs: tuple[str, ...] = ("lab-a", "lab-b"), pay: str = "pay-a") -> None:
    """Households, offices, carrier NAT, popular templates, and people with a card at a payment party; about n lab accounts."""
    rng = world.rng
    for k, lab in enumerate(labs):
        m = n // len(labs)
        people = world.add(f"p{k}", lab, m, age_days=(0, 90))
        home = np.repeat(np.arange(m), rng.choice([1, 2, 3, 4], m, p=[0.5, 0.25, 0.15, 0.1]))[:m]
        world.link(people, Kind.IP, world.values(m)[home])
        device = np.where(rng.random(m) < 0.25, home, np.arange(m))
        world.link(people, Kind.DEVICE, world.values(m)[device])
        card = np.where(rng.random(m) < 0.5, home, np.arange(m))
        cards = world.values(m)[card]
        world.link(people, Kind.CARD, np.where(rng.random(m) < 0.6, cards, -1))
        world.link(people, Kind.EMAIL, world.values(m))
        world.link(people, Kind.PROMPT, world.values(40)[rng.zipf(1.5, m).clip(1, 40) - 1])
        nat = rng.random(m) < 0.15
        world.link(
            people.filter(pl.Series(nat)),
            Kind.IP,
            world.values(m // 200 + 1)[rng.integers(0, m // 200 + 1, int(nat.sum()))],
        )
        payers = rng.random(m) < 0.4
        buyers = world.add(f"b{k}", pay, int(payers.sum()), age_days=(0, 90), windows=(0, 0), verified="CARD")
        world.link(buyers, Kind.CARD, cards[payers])
        world.link(buyers, Kind.EMAIL, world.values(buyers.height))
        for office in range(m // 600):
            size = int(rng.integers(15, 60))
            staff = world.add(
                f"office{k}-{office}", lab, size, verified=["EMAIL", "ORGANISATION"][office % 2], age_days=(0, 40)
            )
            world.link(staff, Kind.IP, np.repeat(world.values(1), size))
            world.link(staff, Kind.ORGANISATION, np.repeat(world.values(1), size))
            world.link(staff, Kind.CARD, np.repeat(world.values(1), size))
            world.link(staff, Kind.DEVICE, world.spread(size, 2))
            world.link(staff, Kind.PROMPT, world.spread(size, 5))


def campaign(
    world: World,
    name: str,
    n: int = 40,
    *,
    parties: tuple[str, ...] = ("lab-a", "lab-b"),
    pay: str | None = "pay-a",
    share: int = 4,
    tasks: tuple[float, ...] = CAMPAIGN_TASKS,
    sigma: float = 0.3,
    output_ratio: float = 3.0,
    day: float = 0.0,
) -> None:
    """One operator's accounts in equal parts at the parties, sharing devices, cards, addresses and templates by groups of `share`."""
    who = world.add(
        name, [parties[i % len(parties)] for i in range(n)], n, truth=True, age_days=(0, 3), windows=(4, 10), tasks=tasks,
        sigma=sigma, output_ratio=output_ratio, plan="TRIAL", verified="NONE", day=day,
    )  # fmt: skip
    cards = world.spread(n, share)
    world.link(who, Kind.DEVICE, world.spread(n, share), day=day)
    world.link(who, Kind.CARD, cards, day=day)
    world.link(who, Kind.IP, world.spread(n, share * 2), day=day)
    world.link(who, Kind.PROMPT, world.spread(n, share * 3), day=day)
    world.link(who, Kind.PROMPT, world.spread(n, share * 3), day=day)
    if pay:
        payers = world.add(
            f"{name}-pay",
            pay,
            n // 2,
            truth=True,
            age_days=(0, 3),
            windows=(0, 0),
            plan="UNKNOWN",
            verified="NONE",
            day=day,
        )
        world.link(payers, Kind.CARD, cards[: n // 2], day=day)
        world.link(payers, Kind.DEVICE, world.spread(n // 2, share), day=day)
