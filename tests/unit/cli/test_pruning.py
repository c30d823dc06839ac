"""Whom a condition on host leaves, of inventories and of the provider table."""

from __future__ import annotations

import pytest

from backplane.cli.pruning import pruned, pruned_table
from backplane.cli.targets import Selection
from backplane.query.oneline import one_line
from backplane.wire.errors import UsageError
from coordinator.selecting import Selection as Chosen
from coordinator.table import Provider

TABLE = {
    name: Provider(name=name, labels=labels)
    for name, labels in {
        "web1": {"role": "web", "site": "a"},
        "web2": {"role": "web", "site": "b"},
        "db1": {"role": "db", "site": "a"},
        "bare": {},
    }.items()
}
EVERYBODY = {"everything": True, "names": [], "groups": [], "without": [], "labels": [], "python": None, "via": None}
CONDITIONS = {
    "host = 'web1'": {"web1"},
    "host in ('web1', 'db1') and host.site = 'a'": {"web1", "db1"},
    "host ~ '^web' and status = 500": {"web1", "web2"},
    "host.role = 'db'": {"db1"},
    "host.role != 'db'": {"web1", "web2"},
    "host.role in ('db', 'mail')": {"db1"},
    "host.site starts with 'b' or host.role = 'db'": {"web2", "db1"},
    "host.role is null": {"bare"},
    "not host.role = 'web'": {"db1"},
}


def _hosts(condition: str) -> list[object]:
    hosts = one_line(f"nginx f | where {condition} | count").hosts
    assert hosts is not None
    return hosts


@pytest.mark.parametrize("condition", CONDITIONS)
def test_of_inventories_those_that_it_keeps_are_asked(condition: str) -> None:
    """Labels and names are known here, so nobody else is asked."""
    kept = pruned(Selection(tuple(TABLE.values())), _hosts(condition))
    assert set(kept.names) == CONDITIONS[condition]


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("follow", [False, True])
def test_of_the_table_nobody_is_left_out_who_is_meant(condition: str, follow: bool) -> None:
    """What selectors can say the coordinator selects; what they cannot, the plan asks of those that are left."""
    selection = pruned_table(Selection((), select=dict(EVERYBODY)), _hosts(condition), TABLE, follow=follow)
    assert selection.select is not None
    chosen = set(Chosen.from_wire(selection.select).choose(TABLE))
    assert chosen >= CONDITIONS[condition]
    exact = " or " not in condition and "null" not in condition and "not " not in condition and "!=" not in condition
    if exact and (not follow or "host " not in condition):
        assert chosen == CONDITIONS[condition]
    assert selection.select["everything"] == (follow or "host " not in condition)


def test_nobody_left_is_said_before_anything_is_asked() -> None:
    """A condition that keeps no target is a slip of the pen."""
    with pytest.raises(UsageError, match=r"keeps none of the 4 targets: bare,db1,web\[1-2\]"):
        pruned(Selection(tuple(TABLE.values())), _hosts("host = 'web9'"))
    with pytest.raises(UsageError, match="keeps none of the 4 targets"):
        pruned_table(Selection((), select=dict(EVERYBODY)), _hosts("host = 'web9'"), TABLE, follow=False)
