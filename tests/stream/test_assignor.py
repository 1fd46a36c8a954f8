"""One owner for everything, and it stays the owner."""

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from weaklink.stream.assignor import SingleOwnerAssignor, choose_owner


@given(claims=st.dictionaries(st.text(min_size=1), st.integers(-1, 5), min_size=1))
def test_the_newest_claim_wins_whoever_else_joins(claims: dict[str, int]) -> None:
    """The owner has the highest generation, and a newcomer without a claim never takes over from one that has."""
    owner = choose_owner(claims)
    assert claims[owner] == max(claims.values())
    if claims[owner] >= 0:
        assert choose_owner(claims | {"": -1}) == owner


def test_every_partition_goes_to_one_member() -> None:
    """The owner remembers its claim, and keeps everything in the next generation."""
    cluster = SimpleNamespace(partitions_for_topic=lambda topic: {"a": {0, 1}, "b": {0}}[topic])
    assignors = {name: SingleOwnerAssignor() for name in ("m2", "m1")}
    for generation, expected in ((1, "m1"), (2, "m1")):
        members = [
            SimpleNamespace(member_id=name, metadata=one.metadata(["a", "b"])) for name, one in assignors.items()
        ]
        assignment = assignors["m2"].assign(cluster, members)
        assert assignment[expected].assigned_partitions == [("a", [0, 1]), ("b", [0])]
        assert sum(bool(one.assigned_partitions) for one in assignment.values()) == 1
        for name, one in assignors.items():
            one.on_assignment(assignment[name], generation)
    assignors["m0"] = SingleOwnerAssignor()
    members = [SimpleNamespace(member_id=name, metadata=one.metadata(["a"])) for name, one in assignors.items()]
    assert assignors["m0"].assign(cluster, members)["m1"].assigned_partitions
