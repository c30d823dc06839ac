"""How complete an answer is, in a few lines for people.

Knows coverage. Gives text that is harmless on a terminal; who shows it (a table's last line, stderr) is not its
business.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from backplane.client.outputs.harmless import harmless
from backplane.reduce.coverage import COMPLETE, Coverage
from backplane.reduce.names import folded
from backplane.reduce.snapshot import Snapshot

#: Lines for providers that are not well; a fan-out that fails in fifty ways is read from the JSON.
_MOST_LINES = 12
#: Hosts named in a line.
_MOST_NAMES = 8
#: Fields of which values were left out.
_MOST_FIELDS = 5

#: How the reason of a drop begins that says of which field a value was (docs/reference/frames.md, "beat").
NOT_A_NUMBER: Final = "not_a_number:"
#: States that need no names: there is nothing to do about them.
_QUIET = COMPLETE | {"pending", "connecting", "filtering", "running"}


def coverage_lines(snapshot: Snapshot) -> list[str]:
    """How many providers are in which state, a line for each reason why one is not well, and what is not exact."""
    lines = [" · ".join(f"{n} {_word(state)}" for state, n in _states(snapshot.coverage).items()) or "no providers"]
    lines += _named(snapshot.coverage)
    stopped = snapshot.coverage.stopped
    if stopped is not None:
        unread = f": {harmless(folded(stopped, _MOST_NAMES))} not read to the end" if stopped else ""
        lines.append(f"limit reached{unread}")
    if snapshot.final and snapshot.coverage.states.keys() == {"filtered_out"}:
        lines.append("the query's filter kept none of them, so nothing was read (`logreduce explain` shows the filter)")
    lines += _unfit(snapshot.coverage)
    lines += [f"inexact: {harmless(reason)}" for reason in snapshot.inexact]
    return lines + [f"approximate {harmless(', '.join(names))}: {said}" for said, names in _approximate(snapshot)]


def _unfit(coverage: Coverage) -> list[str]:
    """Values that an aggregate left out, because it wanted numbers."""
    found: Counter[str] = Counter()
    for row in coverage.providers.values():
        for reason, count in row.counters.dropped.items():
            if reason.startswith(NOT_A_NUMBER):
                found[reason.removeprefix(NOT_A_NUMBER)] += count
    return [
        f"left out: {count:,} value{'s' * (count != 1)}{name and f' of {harmless(name)}'} that "
        f"{'is no number' if count == 1 else 'are no numbers'}"
        for name, count in sorted(found.most_common(_MOST_FIELDS))
        if count
    ]


def _states(coverage: Coverage) -> dict[str, int]:
    """How many are in which state, those that were stopped in one of their own."""
    states = Counter(coverage.states)
    stopped = coverage.stopped or ()
    states -= Counter(coverage.providers[name].state for name in stopped)
    return dict(states) | ({"stopped": len(stopped)} if stopped else {})


def _approximate(snapshot: Snapshot) -> list[tuple[str, list[str]]]:
    """Columns that are not exact, by how far they may be off."""
    columns: dict[str, list[str]] = {}
    for name, said in snapshot.table.errors:
        columns.setdefault(said, []).append(name)
    return list(columns.items())


def _named(coverage: Coverage) -> list[str]:
    lines = [
        f"{_word(state)} {harmless(folded(names, _MOST_NAMES))}" + (f": {harmless(reason)}" if reason else "")
        for (state, reason), names in coverage.named().items()
        if (state not in _QUIET or (state == "connecting" and reason)) and not set(names) <= set(coverage.stopped or ())
    ]
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES - 1 :] = [f"and {len(lines) - _MOST_LINES + 1} more reasons; -o json has them all"]
    return lines


def _word(state: str) -> str:
    return state.replace("_", " ")
