"""How complete an answer is, in a few lines for people.

Knows coverage. Gives text that is harmless on a terminal; who shows it (a table's last line, stderr) is not its
business.
"""

from __future__ import annotations

from collections import defaultdict

from backplane.client.outputs.harmless import harmless
from backplane.reduce.coverage import COMPLETE, Coverage
from backplane.reduce.names import folded
from backplane.reduce.snapshot import Snapshot

#: Reasons shown for a state; a fan-out that fails in fifty ways is read from the JSON.
_MOST_REASONS = 3
#: Hosts named for a reason.
_MOST_NAMES = 8

#: States that need no names: there is nothing to do about them.
_QUIET = COMPLETE | {"pending", "connecting", "filtering", "running"}


def coverage_lines(snapshot: Snapshot) -> list[str]:
    """One line of states, then a line for each reason why the answer is less than exact."""
    return [coverage_line(snapshot.coverage), *(f"inexact: {harmless(reason)}" for reason in snapshot.inexact)]


def coverage_line(coverage: Coverage) -> str:
    """Such as ``19 done · 1 unreachable: web07 (connection refused)``."""
    named: dict[str, list[str]] = defaultdict(list)
    for (state, reason), names in coverage.named().items():
        if state not in _QUIET:
            hosts = harmless(folded(names, _MOST_NAMES))
            named[state].append(f"{hosts} ({harmless(reason)})" if reason else hosts)
    return (
        " · ".join(_state(state, number, named[state]) for state, number in coverage.states.items()) or "no providers"
    )


def _state(state: str, number: int, named: list[str]) -> str:
    said = f"{number} {state.replace('_', ' ')}"
    if not named:
        return said
    more = f", and {len(named) - _MOST_REASONS} more reasons" if len(named) > _MOST_REASONS else ""
    return f"{said}: {', '.join(named[:_MOST_REASONS])}{more}"
