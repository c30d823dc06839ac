"""How complete an answer is: one state for each provider of the target set, and what follows from them.

Knows states, counters and times (DESIGN sections 5 and 8). Does not know cuts or values: what has been applied tells
its `Standing`. `Coverage` is what a snapshot carries, frozen.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from backplane.reduce.names import folded
from backplane.wire.errors import RemoteProtocolError
from backplane.wire.messages import Beat, Gap, State

LIVE: Final = ("pending", "connecting", "filtering", "running", "stalled")
ENDED: Final = ("done", "left", "filtered_out", "refused", "unreachable", "failed", "killed", "lost")
#: A provider in one of these has said all that it had to say.
COMPLETE: Final = frozenset(("done", "left", "filtered_out"))
#: What these had contributed stays, and is less than all. (A filter may say no when it is asked again after a break.)
_CUT_SHORT: Final = ("failed", "killed", "lost", "filtered_out")

#: Why a provider was dropped that had not been started when the limit of rows was reached. It stays ``unreachable``:
#: nobody got there.
NOT_ASKED: Final = "not asked: the limit was reached first"
#: Why one was that had.
_STOPPED: Final = "stopped: the limit was reached"

#: Sentences in ``inexact``: of a thousand providers that each have a gap, the first few tell the story.
MOST_REASONS: Final = 20
#: Gaps kept for each provider; the rest are counted.
_MOST_GAPS: Final = 3

_COUNTERS: Final = ("lines", "bytes", "matched", "emitted", "parse_errors")


def iso(at: float | None) -> str | None:
    """A time as snapshots say it: UTC, to the second; None for one that no calendar can say.

    >>> iso(1_795_165_200.7)
    '2026-11-20T09:00:00Z'
    """
    try:
        return None if at is None else datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):  # a provider may say anything
        return None


@dataclass(frozen=True, slots=True)
class Counters:
    """What was read and emitted, as the provider counts it.

    Each job counts from 0. A cut says what was counted when it was made, and of a job that breaks off only that counts,
    since its successor reads again what came after. So lines that are read twice are counted once.
    """

    lines: int = 0
    bytes: int = 0
    matched: int = 0
    emitted: int = 0
    parse_errors: int = 0
    #: By reason.
    dropped: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Counters:
        """What a beat or an end says; what is no count counts as 0."""
        counts = {name: _count(said.get(name)) for name in _COUNTERS}
        dropped = said.get("dropped")
        by_reason = dropped.items() if isinstance(dropped, dict) else ()
        return cls(**counts, dropped={str(reason): _count(number) for reason, number in by_reason})

    def __add__(self, other: Counters) -> Counters:
        counts = {name: getattr(self, name) + getattr(other, name) for name in _COUNTERS}
        return Counters(**counts, dropped=dict(Counter(self.dropped) + Counter(other.dropped)))


def _said_of(counters: Counters) -> dict[str, Any]:
    return {name: getattr(counters, name) for name in _COUNTERS} | {"dropped": dict(counters.dropped)}


def _count(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0


@dataclass(frozen=True, slots=True)
class Row:
    """One provider in a snapshot."""

    state: str
    reason: str | None
    level: str | None
    profile: str | None
    counters: Counters
    #: Seconds since the epoch, as `joined_at` and `left_at`; None before there is one.
    watermark: float | None
    lag_s: float
    joined_at: float | None
    left_at: float | None
    away_s: float

    def to_dict(self) -> dict[str, Any]:
        """As the JSON contract has it."""
        return {
            "state": self.state,
            "reason": self.reason,
            "level": self.level,
            "profile": self.profile,
            "lines": self.counters.lines,
            "bytes": self.counters.bytes,
            "matched": self.counters.matched,
            "emitted": self.counters.emitted,
            "dropped": dict(self.counters.dropped),
            "parse_errors": self.counters.parse_errors,
            "watermark": iso(self.watermark),
            "lag_s": self.lag_s,
            "joined_at": iso(self.joined_at),
            "left_at": iso(self.left_at),
            "away_s": round(self.away_s, 3),
        }


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of a whole answer."""

    providers: Mapping[str, Row]
    #: Every target has ended well, or goes on well when a following query ends, and had a line that could be read
    #: if it had any.
    complete: bool
    #: Why the answer is less than exact, in sentences.
    inexact: tuple[str, ...]
    #: Who was not read to the end on purpose, because there was enough already; None where no limit was reached.
    stopped: tuple[str, ...] | None = None

    @property
    def states(self) -> dict[str, int]:
        """How many providers are in each state that has any; live ones first."""
        counts = Counter(row.state for row in self.providers.values())
        return {state: counts[state] for state in LIVE + ENDED if counts[state]}

    @property
    def exit_status(self) -> int:
        """0 complete, 4 if no provider could be reached, 3 for anything between."""
        if self.complete:
            return 0
        return 4 if all(row.state == "unreachable" for row in self.providers.values()) else 3

    def named(self) -> dict[tuple[str, str | None], list[str]]:
        """Providers by (state, reason), in the order of states, then reasons."""
        groups: dict[tuple[str, str | None], list[str]] = defaultdict(list)
        for name, row in self.providers.items():
            groups[row.state, row.reason].append(name)
        return dict(sorted(groups.items(), key=lambda item: ((LIVE + ENDED).index(item[0][0]), item[0][1] or "")))

    def to_dict(self, *, providers: bool) -> dict[str, Any]:
        """As the JSON contract has it, with or without a row for each provider."""
        said: dict[str, Any] = {"targets": len(self.providers), "states": self.states}
        if self.stopped is not None:
            said["stopped"] = list(self.stopped)
        if providers:
            said["providers"] = {name: row.to_dict() for name, row in self.providers.items()}
        return said


class Standing:
    """What is known of one provider so far. Changed by its answer only."""

    __slots__ = (
        "_applied", "_away_s", "_before", "_gaps", "_gaps_more", "_joined_at", "_lag_s", "_left_at", "_level", "_marks",
        "_notes", "_pinned", "_profile", "_reason", "_watermark", "began", "contributed", "counters", "drained",
        "outside", "returns", "state",
    )  # fmt: skip

    def __init__(self) -> None:
        self.state = "pending"
        #: Something of it has been applied.
        self.contributed = False
        #: It ended because it was asked to, with all its cuts applied.
        self.drained = False
        #: What it is it is for the time being: another job of it may go on, or begin.
        self.returns = False
        #: It has left, or was filtered out: what it may do later begins anew.
        self.outside = False
        #: A job of it has been started, and none asked for since.
        self.began = False
        self.counters = Counters()
        #: What had been counted by the last applied cut of its job; and by the jobs before.
        self._applied = Counters()
        self._before = Counters()
        self._reason: str | None = None
        self._pinned = False
        self._level: str | None = None
        self._profile: str | None = None
        self._watermark: float | None = None
        self._marks: dict[str, float] = {}
        self._lag_s = 0.0
        self._joined_at: float | None = None
        self._left_at: float | None = None
        self._away_s = 0.0
        self._gaps: list[str] = []
        self._gaps_more = 0
        self._notes: list[str] = []

    @property
    def over(self) -> bool:
        """Nothing more is due from it."""
        return not self.returns and (self.state in ENDED or self.drained)

    @property
    def joined(self) -> bool:
        """It has run."""
        return self._joined_at is not None

    def begun(self, *, reads_again: bool) -> None:
        """A new job of it begins.

        Args:
            reads_again: it goes on from the last applied cut, so that what the older one counted later does not count.
        """
        self._before += self._applied if reads_again else self.counters
        self.counters = self._applied = Counters()
        self.drained = self.began = False
        self._pinned = False

    def applied(self, counters: Mapping[str, Any]) -> None:
        """A cut of it has been, which says what had been counted by then."""
        self._applied = Counters.of(counters)

    def uncount(self) -> None:
        """Its job broke off: what it had counted after its last applied cut is no part of the answer."""
        self.counters = self._applied

    def note(self, text: str) -> None:
        """Something that makes it inexact, said once however often it happens."""
        if text not in self._notes:
            self._notes.append(text)

    def away(self, now: float, why: str) -> None:
        """It begins anew after a break, and what came meanwhile is missing."""
        since = "" if self._left_at is None else f" for {max(0.0, now - self._left_at):.1f} s"
        reason = f" ({self._reason})" if self._reason and self.state == "lost" else ""
        self._gap(f"away{since}{reason}, and then begun anew: {why}")

    def lose(self, reason: str, at: float, *, returns: bool = False) -> None:
        """What it said cannot be applied. Whatever the coordinator says of it next, this stands until a new job."""
        self.state, self._reason, self._pinned = "lost", reason, True
        self._left_at, self.returns = at, returns

    def changed(self, message: State, at: float) -> None:
        """The coordinator has seen it change.

        Raises:
            RemoteProtocolError: there is no such state.
        """
        if message.state not in LIVE + ENDED:
            raise RemoteProtocolError(f"{message.provider} is in an unknown state: {message.state[:40]!r}")
        self._level = message.level or self._level
        self._profile = message.profile or self._profile
        self.began = self.began or message.state in ("filtering", "running")
        if self._pinned:
            self.returns = self.returns and (message.again or message.state not in ENDED)
            return
        if self.returns and message.state in ("pending", "connecting"):
            return  # for another coordinator it is new; here it is still what it was
        reason = message.reason
        if self.returns and message.state in ("unreachable", "refused"):
            # Nothing is missing of one that was outside.
            self.state, reason = (self.state, self._reason) if self.outside else ("lost", f"{self._reason}; {reason}")
        else:
            self.state = message.state
        self._reason, self.returns = reason, message.again
        self.outside = self.state in ("left", "filtered_out") or (self.outside and self.state != "running")
        if self.state in ("running", "done") and self._joined_at is None:
            self._joined_at = at
        if self.state in ("left", "lost") or (self.state == "filtered_out" and self.joined):
            # When it was lost for a time, what becomes of that is no new loss.
            self._left_at = at if self._left_at is None else self._left_at
        elif self.state == "running" and self._left_at is not None:
            self._away_s += max(0.0, at - self._left_at)
            self._left_at = None

    def interrupted(self, at: float, why_not: str | None) -> None:
        """Its client stopped at that time while a job of it ran, unless it had come to an end.

        Args:
            why_not: why it cannot be run again, one clause; None if it can.
        """
        if self.state in ENDED or self.outside:
            return
        self.began = True
        self._left_at = at if self._left_at is None else self._left_at
        if why_not is not None:
            self.state, self._reason = (
                "lost",
                f"the client stopped before it was done, and it is not run twice: {why_not}",
            )

    def again(self) -> None:
        """It is asked again, by a client that knows it from before."""
        self.state, self._reason = "pending", None

    def gone(self, at: float) -> None:
        """It was a target once, and is none any more; whoever had come to an end stays so."""
        if self.state not in ENDED:
            self.state, self._reason, self._left_at = "left", None, at

    def beat(self, message: Beat) -> None:
        """Its own count."""
        if self.state == "lost":
            return  # of a job that is being ended
        self.counters = Counters.of({name: getattr(message, name) for name in (*_COUNTERS, "dropped")})
        self._watermark = message.watermark
        self._lag_s = message.lag_s or 0.0

    def marked(self, marks: Mapping[str, float | None]) -> None:
        """Watermarks of its sources, out of a cut: the least of them is its own."""
        self._marks.update({source: mark for source, mark in marks.items() if mark is not None})
        known = [mark for mark in self._marks.values() if math.isfinite(mark)]  # a provider may say anything
        self._watermark = min(known, default=None)

    def gap(self, message: Gap) -> None:
        """Something of it was not read."""
        counts = ((message.lines, "lines"), (message.bytes, "bytes"))
        sizes = [f"{number} {what}" for number, what in counts if number is not None]
        self._gap(f"{message.source}: {message.reason}" + (f" ({', '.join(sizes)})" if sizes else ""))

    def _gap(self, text: str) -> None:
        if len(self._gaps) >= _MOST_GAPS:
            self._gaps_more += 1
        else:
            self._gaps.append(text)

    def gaps(self) -> list[str]:
        """Each gap in a few words."""
        return self._notes + self._gaps + ([f"{self._gaps_more} more gaps"] if self._gaps_more else [])

    @property
    def read(self) -> int:
        """Lines of all of its jobs."""
        return self._before.lines + self.counters.lines

    @property
    def strange(self) -> bool:
        """It had lines, and not one of them parsed."""
        return 0 < self.read <= self._before.parse_errors + self.counters.parse_errors

    def saved(self) -> dict[str, Any]:
        """All of it as msgpack knows it, for `restored`."""
        said = {name: getattr(self, name) for name in self.__slots__}
        return {name: _said_of(value) if isinstance(value, Counters) else value for name, value in said.items()}

    @classmethod
    def restored(cls, saved: Mapping[str, Any], *, over: bool = False) -> Standing:
        """What `saved` gave: its last job is over, and where it had not come to an end it is `pending` again.

        With ``over`` it is as it was.

        What a newer version had stored beside is ignored, and what an older one did not know begins anew.
        """
        standing = cls()
        for name in cls.__slots__:
            if name in saved:
                counts = isinstance(getattr(standing, name), Counters)
                setattr(standing, name, Counters.of(saved[name]) if counts else saved[name])
        if over:
            return standing
        standing.drained = standing._pinned = False
        if standing.state not in ENDED or standing.returns:
            standing.state, standing._reason, standing.returns = "pending", None, False
        return standing

    def row(self, late: int = 0) -> Row:
        """As it is now; ``late`` records of it were dropped at home."""
        total = self._before + self.counters + Counters(dropped={"late": late} if late else {})
        return Row(
            state=self.state,
            reason=self._reason,
            level=self._level,
            profile=self._profile,
            counters=dataclasses.replace(total, dropped=MappingProxyType(dict(total.dropped))),
            watermark=self._watermark,
            lag_s=self._lag_s,
            joined_at=self._joined_at,
            left_at=self._left_at,
            away_s=self._away_s,
        )


def coverage(
    standings: Mapping[str, Standing],
    *,
    endless: bool,
    final: bool,
    inexact: list[str],
    late: Mapping[str, int] = MappingProxyType({}),
    enough: bool = False,
    reached: bool = False,
) -> Coverage:
    """The coverage of an answer.

    Args:
        enough: a limit was reached, and whoever had not come to an end by then was stopped.
        reached: that limit is the question's own, so that nothing is missing of what was asked, whoever was not heard.
        late: records that came after their window was forgotten, by provider.
        endless: the query ends only when it is told to, so that ``running`` is well in its ``final`` snapshot.
        inexact: what the reducer itself leaves out.
    """
    well = COMPLETE | {"running"} if endless and final else COMPLETE
    reasons = inexact + _reasons(standings, drained=endless and final and not enough)
    rows = {name: standings[name].row(late.get(name, 0)) for name in sorted(standings)}
    stopped = None
    if (enough or reached) and final:
        stopped = [name for name, row in rows.items() if row.state in LIVE or row.reason == NOT_ASKED]
        for name in stopped:
            rows[name] = dataclasses.replace(rows[name], reason=rows[name].reason or _STOPPED)
    strange = {name: each.read for name, each in standings.items() if each.state in well and each.strange}
    reasons += _strange(strange)
    if len(reasons) > MOST_REASONS:
        reasons[MOST_REASONS - 1 :] = [f"and {len(reasons) - MOST_REASONS + 1} more reasons"]
    all_well = bool(standings) and not strange and all(each.state in well for each in standings.values())
    return Coverage(
        providers=MappingProxyType(rows),
        complete=all_well or (reached and final),
        inexact=tuple(reasons),
        stopped=None if stopped is None else tuple(stopped),
    )


def _strange(lines: Mapping[str, int]) -> list[str]:
    """Those of which every line was of another format: what they say counts as unread."""
    if not lines:
        return []
    number = sum(lines.values())
    return [
        f"{folded(sorted(lines))}: none of {number:,} line{'s' * (number != 1)} is of the format that was asked for"
    ]


def _reasons(standings: Mapping[str, Standing], *, drained: bool) -> list[str]:
    short: dict[str, list[str]] = defaultdict(list)
    #: By what was not read, and how many times its provider has said the same before.
    gaps: dict[tuple[str, int], list[str]] = defaultdict(list)
    for name in sorted(standings):
        each = standings[name]
        if each.state in _CUT_SHORT and each.contributed:
            short[each.state].append(name)
        elif drained and each.state == "running" and not each.drained:
            short["running"].append(name)
        said = each.gaps()
        for number, gap in enumerate(said):
            gaps[gap, said[:number].count(gap)].append(name)
    reasons = [f"{folded(short[state])}: {state} after having contributed" for state in _CUT_SHORT if short[state]]
    if short["running"]:
        reasons.append(f"{folded(short['running'])}: did not hand over what it had last")
    return reasons + [f"{folded(names)}: {gap}" for (gap, _), names in gaps.items()]
