"""Whom a question's condition on ``host`` leaves of a selection, before anything ships.

Composes selections and `backplane.query.hosts`. Of inventories alone it is settled here. Of the provider table the
coordinator knows the labels, so conditions on them become label selectors, and what no selector can say the plan asks
on each provider.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from backplane.api.targets import Selection
from backplane.query.hosts import HOST, LABEL, conjuncts, keeps
from backplane.wire.errors import UsageError
from provider.runner.expressions import Expression, fields


def pruned(selection: Selection, hosts: Expression | None) -> Selection:
    """A selection of inventories without the providers that a condition does not keep.

    Raises:
        UsageError: it keeps none.
    """
    if hosts is None or selection.select is not None:
        return selection
    kept = tuple(one for one in selection.providers if keeps(hosts, one.name, one.labels))
    if not kept:
        raise _nobody(selection.names)
    return replace(selection, providers=kept)


def pruned_table(selection: Selection, hosts: Expression | None, names: Iterable[str], *, follow: bool) -> Selection:
    """The same of a selection that the coordinator chooses, once it has said whom that means.

    Args:
        names: whom.
        follow: providers that the table gets later may join.

    Raises:
        UsageError: it keeps none.
    """
    if hosts is None or selection.select is None:
        return selection
    known = sorted(names)
    by_name = [part for part in conjuncts(hosts) if fields(part) == [HOST]]
    kept = [name for name in known if all(keeps(part, name, {}) for part in by_name)]
    if not kept:
        raise _nobody(known)
    select = dict(selection.select)
    select["labels"] = [*select["labels"], *_selectors(hosts)]
    if by_name and not follow:
        select.update(everything=False, groups=[], names=kept)
    return replace(selection, select=select)


def _selectors(hosts: Expression) -> Iterator[str]:
    """Label selectors that keep all that a condition keeps, and perhaps more."""
    for part in conjuncts(hosts):
        read = fields(part)
        if len(part) < 2 or len(read) != 1 or not read[0].startswith(LABEL) or part[1] != ["field", read[0]]:
            continue
        label = read[0][len(LABEL) :]
        if part[0] == "=" and part[2][0] == "value" and "," not in str(part[2][1]):
            yield f"{label}={part[2][1]}"
        elif part[0] == "in":
            yield f"{label}=~{'|'.join(re.escape(str(value)) for value in part[2])}"
        elif part[0] not in ("null", "not"):
            yield label


def _nobody(names: list[str]) -> UsageError:
    from coordinator.inventory import nodes

    return UsageError(f"the condition on host keeps none of the {len(names)} targets: {nodes.fold(names)}")
