"""A question's plan asked of logs in this process: compiled, folded and finished, as providers and home do it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backplane.query.hosts import for_host
from backplane.query.oneline import OneLine
from backplane.reduce.columns import Partials, decode
from backplane.reduce.finishing import Finishing
from backplane.reduce.planned import GroupedPlan
from backplane.reduce.rows import Rows
from provider.runner.aggregates import tag
from provider.runner.folding import Scan
from provider.runner.plan import Plan
from provider.runner.scanfold import Teller


def rows(asked: OneLine, logs: Mapping[str, bytes]) -> Rows:
    """The table of a question without windows.

    Args:
        logs: whole lines, by provider.
    """
    plans = {name: Plan.of(for_host(asked.plan, name, {})) for name in logs}
    finishing = Finishing(asked.keys, asked.values, asked.steps, asked.kinds)
    names = [str(name) for name, _ in asked.plan["aggregates"]]
    if not names:
        return _streamed(asked, finishing, plans, logs)
    fold = GroupedPlan(names, keys=asked.keys, names=asked.values, finish=finishing.finish)
    for name, plan in plans.items():
        scan = Scan(plan, tag(name, 1))
        scan.feed(logs[name], 0, len(logs[name]))
        teller = Teller(names, tag(name, 1))
        for window, count, states in scan.taken():
            for payload in teller.told(window, count, states):
                content = decode("partials", payload)
                assert isinstance(content, Partials)
                fold.partials(name, fold.load(name, content))
    return fold.rows()


def _streamed(asked: OneLine, finishing: Finishing, plans: Mapping[str, Plan], logs: Mapping[str, bytes]) -> Rows:
    found: list[Sequence[Any]] = []
    for name, plan in plans.items():
        scan = Scan(plan, tag(name, 1))
        scan.feed(logs[name], 0, len(logs[name]))
        scan.flush()
        found += scan.rows()
    return finishing.finish(Rows(asked.values, tuple(map(tuple, found)), ()))
