"""An identifier is shared only by those whose uses of it belong together in time: ingest and correlate against plain loops, from event to member."""

from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.correlate import naive
from tests.ingest.events import DAY_US, HOUR_US, Event, event_id, to_frame, token
from tests.ingest.merging import merge_links
from weaklink.account_keys import account_key
from weaklink.correlate.config import CorrelateConfig
from weaklink.correlate.runs import LinkRuns
from weaklink.ingest.config import IngestConfig
from weaklink.ingest.fold import fold_links
from weaklink.records.identifiers import IdentifierKind

_KINDS = (IdentifierKind.IP, IdentifierKind.CARD, IdentifierKind.PROMPT)
_START_US = 20_000 * DAY_US
_PARTIES = ("lab-a", "lab-b")

Use = tuple[str, Event]


def use(day: float, party: str, account: str, *tokens: bytes) -> Use:
    """An event, so many days after the start, at a party."""
    at_us = _START_US + int(day * 24) * HOUR_US
    return party, {
        "event_id": event_id(1), "occurred_at": at_us, "account": account, "identifiers": list(tokens), "plan": "FREE",
        "verified": "NONE", "mail_class": "UNKNOWN", "address_class": "UNKNOWN",
    }  # fmt: skip


tokens = st.builds(token, st.sampled_from(_KINDS), st.integers(0, 2))
uses = st.builds(
    lambda day, party, account, held: use(day, party, account, *held),
    st.floats(0, 300),
    st.sampled_from(_PARTIES),
    st.sampled_from(["anna", "bo", "cleo"]),
    st.sets(tokens, min_size=1, max_size=3),
)
RECYCLED = [
    use(0, "lab-a", "anna", token(4, 0)),
    use(200, "lab-a", "anna", token(4, 0)),
    use(100, "lab-a", "bo", token(4, 0)),
]
"""A card that lay idle for longer than its lifetime on either side of another's use: nobody shares it, though one account spans the other."""


def members(polls: list[list[Use]], ingest: IngestConfig, correlate: CorrelateConfig) -> set[naive.Member]:
    """Who is said to share what, when the events come in these polls."""
    state, said = LinkRuns(correlate), set[naive.Member]()
    for poll in polls:
        parts = [
            fold_links(to_frame("AccountOpened", [event for at, event in poll if at == party]), "AccountOpened", party, ingest)
            for party in _PARTIES
        ]  # fmt: skip
        shared = state.add(merge_links(parts, ingest))
        said |= {(naive.node_of(row), row["account"]) for row in shared.iter_rows(named=True)}
    return said


def raw(poll: list[Use]) -> list[naive.Use]:
    """Every mention as a link of its own: nothing folded."""
    return [
        {
            "identifier": int.from_bytes(one[2:10], "little"), "tail": int.from_bytes(one[9:17], "little"), "kind": one[0], "epoch": one[1],
            "slot": event["occurred_at"] // DAY_US if one[0] == IdentifierKind.IP else 0, "account": account_key(party, event["account"]),
            "first_seen_us": event["occurred_at"], "last_seen_us": event["occurred_at"], "appended_at_us": 0, "mentions": 1, "requests": 0,
        }
        for party, event in poll
        for one in event["identifiers"]
    ]  # fmt: skip


@given(st.lists(uses, min_size=1, max_size=30), st.lists(st.integers(0, 30), max_size=3), st.sampled_from([1, 24]))
@example(RECYCLED, [], 24)
@settings(max_examples=60)
def test_members_are_those_of_plain_loops_however_much_one_poll_spans(
    stream: list[Use], cuts: list[int], gap_hours: int
) -> None:
    """Uses that one poll folds together hide no gap: strangers who had a recycled identifier one after the other do not meet."""
    bounds = sorted({0, len(stream), *(one % (len(stream) + 1) for one in cuts)})
    polls = [stream[begin:end] for begin, end in pairwise(bounds)]
    correlate = CorrelateConfig()
    found = members(polls, IngestConfig(use_gap_hours=gap_hours), correlate)
    # A member once said stays said; and what is said depends on what had been read by then, since a later use can join two episodes.
    expected: set[naive.Member] = set()
    for end in bounds[1:]:
        expected |= naive.shared_members(raw(stream[:end]), correlate)
    assert found == expected


def test_nobody_shares_a_recycled_card() -> None:
    """The case above in words; were the uses of one account folded into one, its two holders would have met."""
    assert members([RECYCLED], IngestConfig(), CorrelateConfig()) == set()
    longer = CorrelateConfig(lifetime_seconds_default=120 * 24 * 3600)
    assert len(members([RECYCLED], IngestConfig(), longer)) == 2
