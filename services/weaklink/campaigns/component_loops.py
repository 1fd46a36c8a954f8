"""Connected components (union-find), and what becomes of them without the rows of some parties (`chains`)."""

import numpy as np

from weaklink.compiled import (
    BOOLS,
    FLOAT,
    FLOATS,
    FLOATS_OUT,
    INT,
    INTS,
    INTS_OUT,
    Bools,
    Floats,
    Ints,
    compiled,
)


@compiled(INTS_OUT, INT)
def _root(parent: Ints, vertex: int) -> int:
    while parent[vertex] != vertex:
        parent[vertex] = parent[parent[vertex]]
        vertex = parent[vertex]
    return vertex


@compiled(INT, INTS, INTS)
def components(size: int, one: Ints, other: Ints) -> Ints:
    """Component of each of `size` vertices over the edges (one, other), numbered in the order of their first vertices."""
    parent = np.arange(size)
    for edge in range(len(one)):
        a, b = _root(parent, one[edge]), _root(parent, other[edge])
        parent[max(a, b)] = min(a, b)
    label, many = np.empty(size, np.int64), 0
    for vertex in range(size):
        root = _root(parent, vertex)
        if root == vertex:
            label[vertex] = many
            many += 1
        else:
            label[vertex] = label[root]
    return label


@compiled(INTS_OUT, INTS_OUT, INTS, INTS, INTS, INTS, INT, INT, INT)
def _sizes_without(
    parent: Ints,
    persons: Ints,
    rows: Ints,
    person: Ints,
    node: Ints,
    party: Ints,
    first_node: int,
    out: int,
    other: int,
) -> None:
    """Set `parent` and, at the roots, `persons`, of the vertices of these rows to their components over the rows of all other parties."""
    for row in rows:
        for vertex in (person[row], first_node + node[row]):
            parent[vertex] = vertex
            persons[vertex] = 1 if vertex < first_node else 0
    for row in rows:
        if party[row] not in (out, other):
            a, b = _root(parent, person[row]), _root(parent, first_node + node[row])
            if a != b:
                parent[max(a, b)] = min(a, b)
                persons[min(a, b)] += persons[max(a, b)]


@compiled(FLOATS_OUT, INTS, INTS, INTS, INT, INT, INTS, INTS, INTS, INTS, INTS, INTS, BOOLS, FLOATS, FLOAT)
def bound_by_parties(
    result: Floats,
    person: Ints,
    node: Ints,
    party: Ints,
    persons: int,
    nodes: int,
    row_starts: Ints,
    row_order: Ints,
    account_starts: Ints,
    account_order: Ints,
    person_of_account: Ints,
    account_party: Ints,
    left_out: Bools,
    weight: Floats,
    foreign_max: float,
) -> None:
    """Lower each account's `result` to what its component tells without any one other party, and `foreign_max`, and without any two and twice that.

    Rows and accounts by component: `..._starts`, `..._order`. `left_out`: parties that are ever left out. `weight`: by persons of a component.
    A party that a component has no row of changes nothing by being left out, so that only those it has are.
    """
    parent, size = np.empty(persons + nodes, np.int64), np.empty(persons + nodes, np.int64)
    here, present = np.zeros(len(left_out), np.bool_), np.empty(len(left_out), np.int64)
    for component in range(len(row_starts) - 1):
        rows = row_order[row_starts[component] : row_starts[component + 1]]
        accounts = account_order[account_starts[component] : account_starts[component + 1]]
        if len(rows) == 0 or len(accounts) == 0 or result[accounts[0]] <= foreign_max:
            continue
        before, many = result[accounts[0]], 0
        for row in rows:
            if left_out[party[row]] and not here[party[row]]:
                here[party[row]] = True
                present[many] = party[row]
                many += 1
        for i in range(many):
            here[present[i]] = False
            for j in range(i, many):
                out, other, bound = present[i], present[j], foreign_max if i == j else 2 * foreign_max
                if before <= bound:
                    continue
                _sizes_without(parent, size, rows, person, node, party, persons, out, other)
                for account in accounts:
                    if account_party[account] not in (out, other):
                        told = weight[size[_root(parent, person_of_account[account])]] + bound
                        result[account] = min(result[account], told)
