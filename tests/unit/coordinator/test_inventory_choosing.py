"""Several inventories are one table, and names, groups and labels choose of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from backplane.wire.errors import UsageError
from coordinator.inventory import Wanted, choose, unite
from coordinator.inventory.labels import terms
from coordinator.table import Provider

KNOWN = {
    provider.name: provider
    for provider in (
        Provider("web1", labels={"role": "web", "site": "a", "groups": "front,eu"}),
        Provider("web2", labels={"role": "web", "site": "b", "groups": "front", "canary": ""}),
        Provider("db1", labels={"role": "db", "site": "a", "group": "team:store"}),
        Provider("2001:db8::7", labels={}),
    )
}


def chosen(wanted: Wanted, told: list[str] | None = None) -> list[str]:
    return sorted(choose(KNOWN, wanted, (told if told is not None else []).append))


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (["role=web"], ["web1", "web2"]),
        (["role==web"], ["web1", "web2"]),
        (["role=web,site=a"], ["web1"]),
        (["role=web", "site=a"], ["web1"]),
        (["role!=web"], ["2001:db8::7", "db1"]),
        (["role=~we."], ["web1", "web2"]),
        (["role=~e"], []),
        (["role=~w"], []),
        (["role=~web|db,x"], ["web1", "web2"]),
        (["site=a,role=~we{0,1}b|d{1,2}b"], ["db1", "web1"]),
        (["role!~w.*"], ["2001:db8::7", "db1"]),
        (["role"], ["db1", "web1", "web2"]),
        (["!role"], ["2001:db8::7"]),
        (["canary"], ["web2"]),
        (["role="], ["2001:db8::7"]),
        (["nobody-has!=x", "!nobody-has", "role = db"], []),
        (["nobody-has!=x", "!nobody-has", "role=db"], ["db1"]),
    ],
)
def test_labels_select_as_in_kubectl_and_promql(labels: list[str], found: list[str]) -> None:
    """Equality, its negation, presence, absence, and expressions that match all of a value."""
    wanted = Wanted(labels=tuple(labels))
    if found:
        assert chosen(wanted) == found
    else:
        with pytest.raises(UsageError, match="select no provider"):
            chosen(wanted)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), sorted(KNOWN)),
        (Wanted(everything=True, names=("other",)), sorted([*KNOWN, "other"])),
        (Wanted(names=("web*",)), ["web1", "web2"]),
        (Wanted(names=("web?,db[1-2]",)), ["db1", "db2", "web1", "web2"]),
        (Wanted(names=("web[1-2]*",)), ["web1", "web2"]),
        (Wanted(names=("*:7",)), ["2001:db8::7"]),
        (Wanted(names=("web*",), without=("*2",)), ["web1"]),
        (Wanted(without=("web[1-9],nobody,x*",)), ["2001:db8::7", "db1"]),
        (Wanted(groups=("front",)), ["web1", "web2"]),
        (Wanted(groups=("eu,front",), without=("web2",)), ["web1"]),
        (Wanted(groups=("team:store",), names=("web2",)), ["db1", "web2"]),
        (Wanted(groups=("front",), labels=("site=b",)), ["web2"]),
        (Wanted(names=("local",)), ["local"]),
    ],
)
def test_names_and_groups_unite_labels_keep_and_exclusions_leave_out(wanted: Wanted, found: list[str]) -> None:
    """In that order; patterns choose among known names only."""
    assert chosen(wanted) == found


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (Wanted(labels=("rol=web",)), "no provider has a label 'rol': did you mean role?"),
        (Wanted(labels=("zzz",)), "no provider has a label 'zzz': there are canary, group, groups, role, site"),
        (Wanted(labels=("role=~(",)), "no regular expression"),
        (Wanted(labels=("=x",)), "-l takes KEY=VALUE"),
        (Wanted(labels=("",)), "-l takes KEY=VALUE"),
        (Wanted(labels=("role=web,",)), "-l takes KEY=VALUE"),
        (Wanted(labels=("a b=c",)), "-l takes KEY=VALUE"),
        (Wanted(names=("mail*",)), "'mail*' matches none of the 4 names"),
        (Wanted(names=("-oProxyCommand=x",)), "is no name"),
        (Wanted(groups=("",)), "-g takes GROUP"),
        (Wanted(groups=("frnt",)), "no inventory has a group 'frnt': did you mean front?"),
        (Wanted(names=("web1",), without=("web1",)), "select no provider: see -w, -x, -l, -g"),
        (Wanted(labels=("site!=zzz,role=wbe",)), "no provider: none of them has role=wbe: did you mean web?"),
        (Wanted(labels=("role=~mail|ns",)), "none of them has role=~mail|ns: there are db, web"),
        (Wanted(labels=("role=db", "canary")), "select no provider: see -w"),
    ],
)
def test_what_does_not_exist_gets_a_near_name(wanted: Wanted, says: str) -> None:
    """And what cannot be read says how it is written."""
    with pytest.raises(UsageError) as caught:
        chosen(wanted)
    assert says in str(caught.value)


def test_names_that_no_inventory_knows_are_told() -> None:
    """They are ssh destinations, or typing errors; without an inventory there is nothing to tell."""
    told: list[str] = []
    assert chosen(Wanted(names=("web1,web[3-9]",)), told)[0] == "web1"
    assert told == ["in no inventory, so taken as ssh destinations: web3, web4, web5, web6, web7 and 2 more"]
    assert choose({}, Wanted(names=("web3",)), told.append) == {"web3": Provider("web3")}
    assert len(told) == 1


@pytest.mark.parametrize(
    ("name", "ends"),
    [("wev1", "wev1; did you mean web1?"), ("web01", "web01; did you mean web1?"), ("web7", ": web7"), ("x", ": x")],
)
def test_a_name_that_no_inventory_knows_gets_a_near_one(name: str, ends: str) -> None:
    """A slip of the pen does; another number alone is another host."""
    told: list[str] = []
    chosen(Wanted(names=(name,)), told)
    assert len(told) == 1 and told[0].endswith(ends)


def test_the_first_definition_wins_and_a_later_one_adds_labels() -> None:
    """What a later one says otherwise is told, once for each pair of inventories; what it leaves unsaid is nothing."""
    told: list[str] = []
    first = [Provider("a", port=22, labels={"x": "1"}), Provider("b"), Provider("c")]
    later = [Provider("a", labels={"y": "2"}), Provider("b", port=2222), Provider("c", user="u"), Provider("d")]
    table = unite([("one", first), ("two", later), ("three", [Provider("a", labels={"x": "0"})])], told.append)
    assert list(table.values()) == [replace(first[0], labels={"x": "1", "y": "2"}), first[1], first[2], later[3]]
    assert told == [
        "b, c: two says otherwise than one, which comes first and counts",
        "a: three says otherwise than one, which comes first and counts",
    ]


def test_commas_join_except_in_an_expression() -> None:
    """An expression goes to the end, since a comma may be part of it."""
    assert [term.key for term in terms("a=1,!b,c,d=~x{1,2},e=f")] == ["a", "b", "c", "d"]
