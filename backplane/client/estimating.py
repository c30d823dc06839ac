"""What a question would cost, asked of its own providers: bytes to read, seconds, and what a sample says of its lines.

Composes: the question's own start becomes that of a small script, which is `provider.runner.estimate`. Its filter runs,
since only that says who is kept; its map does not. A plan is tried on a sample of the real logs.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from backplane.client.planned import PlanQuestion
from backplane.client.question import QueryQuestion
from backplane.client.spec import Options, Ready, Work
from backplane.reduce.fold import Fold, Keys, Plain
from backplane.reduce.rows import Rows
from backplane.wire import codec
from backplane.wire.errors import RemoteProtocolError
from provider import ship

if TYPE_CHECKING:
    from backplane.client.session import Session
    from backplane.reduce.columns import Partials
    from backplane.reduce.coverage import Coverage
    from backplane.reduce.saving import Saved

#: What is tried on a provider: enough for a speed that is right by a third, and less than anybody notices there.
SAMPLE_BYTES: Final = 8 << 20
SAMPLE_S: Final = 0.3
#: How long hosts that cannot be reached are retried for it: an estimate is no answer, and is asked for once more.
WAIT_S: Final = 3.0

_MODULE: Final = "provider.runner.estimate"
_MAP: Final = """
def map():
    from provider.runner.estimate import estimate
    yield estimate({text!r}, {most_bytes}, {most_s})
"""
#: The same where there is no Python but a shell: sizes alone.
_SHELL_MAP: Final = """
bytes=0 files=0
IFS='
'
for path in $logs; do
    if [ -f "$path" ]; then bytes=$((bytes + $(wc -c < "$path"))) files=$((files + 1)); fi
done
printf '{"bytes": %d, "stored": %d, "files": %d, "processes": 1}\\n' "$bytes" "$bytes" "$files"
"""
#: What of a script's start its estimate needs, beside its filter's.
_KEPT: Final = ("sources", "follow", "since", "until", "rotated")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one provider would have to do.

    Attributes:
        bytes: to be read, as coverage counts them; None where nobody knows.
        stored: what holds them on its disk, which is less where it is compressed.
        seconds: for reading them; of a script without what its map does. None where nobody knows.
        speed: bytes a second, of the sample.
        processes: that read at a time.
        files: logs.
        tried: bytes of the sample; `lines`, `matched`, `parse_errors`, `rows` and `payload` are its, of a plan.
        growth: bytes a second that come, of a question that follows.
        why: why nobody knows.
    """

    bytes: int | None = None
    stored: int = 0
    seconds: float | None = None
    speed: float | None = None
    processes: int = 1
    files: int = 0
    tried: int = 0
    lines: int = 0
    matched: int = 0
    parse_errors: int = 0
    rows: int = 0
    payload: int = 0
    growth: float | None = None
    took_s: float = 0.0
    why: str | None = None

    @classmethod
    def of(cls, said: Any) -> Cost:
        """What a provider answered; what is no number counts for nothing."""
        if not isinstance(said, dict):
            return cls(why="its answer cannot be read")
        counts = {name: _number(said.get(name)) for name in cls.__slots__ if name != "why"}
        size, why = counts["bytes"], said.get("why")
        return cls(
            bytes=None if size is None else int(size),
            seconds=counts["seconds"],
            speed=counts["speed"],
            growth=counts["growth"],
            took_s=counts["took_s"] or 0.0,
            why=None if why is None else str(why)[:200],
            **{name: int(counts[name] or 0) for name in _WHOLES},
        )


_WHOLES: Final = ("stored", "processes", "files", "tried", "lines", "matched", "parse_errors", "rows", "payload")


def _number(value: Any) -> float | None:
    return value if type(value) in (int, float) and 0 <= value < 1e18 else None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a question would cost.

    Attributes:
        providers: what each would do, and why nobody knows it of some; who is left out by the filter is not there.
        left_out: whom the filter does not keep.
        reach_s: until all were reached and had begun, measured just now; None where nobody was.
    """

    providers: Mapping[str, Cost]
    left_out: tuple[str, ...] = ()
    reach_s: float | None = None

    @property
    def known(self) -> list[Cost]:
        """Of whom the bytes are known."""
        return [cost for cost in self.providers.values() if cost.bytes is not None]

    @property
    def bytes(self) -> int | None:
        """Of all of which they are known; None if of nobody."""
        return sum(cost.bytes or 0 for cost in self.known) if self.known else None

    @property
    def seconds(self) -> float | None:
        """Until the answer is final: all read at the same time, so the slowest counts."""
        each = [cost.seconds for cost in self.known if cost.seconds is not None]
        return None if not each or self.reach_s is None else self.reach_s + max(each)

    def to_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "bytes": self.bytes,
            "seconds": _rounded(self.seconds),
            "reach_s": _rounded(self.reach_s),
            "stored": sum(cost.stored for cost in self.known),
            "filtered_out": list(self.left_out),
            "unknown": {name: cost.why for name, cost in self.providers.items() if cost.bytes is None},
            "providers": {name: _document(cost) for name, cost in self.providers.items()},
        }


def _document(cost: Cost) -> dict[str, Any]:
    said = {name: getattr(cost, name) for name in cost.__slots__ if name != "took_s"}
    return {name: _rounded(value) if isinstance(value, float) else value for name, value in said.items()}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


class _Costs(Plain):
    """A fold that keeps what each provider said last."""

    full = False

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def values(self, provider: str, keys: Keys, values: Sequence[Any]) -> None:
        if values:
            self.found[provider] = values[-1]

    def load(self, provider: str, partials: Partials) -> Partials:
        raise RemoteProtocolError("partials where an estimate was asked for")

    def partials(self, provider: str, partials: Partials) -> None:
        raise RemoteProtocolError("partials where an estimate was asked for")

    def durable(self) -> str:
        return "it is an estimate"

    def saved(self) -> Any:
        return iter(())

    def restore(self, saved: Saved) -> None:
        raise RemoteProtocolError("an estimate is not stored")

    def rows(self) -> Rows:
        return Rows((), ())

    def inexact(self) -> list[str]:
        return []


@dataclass(frozen=True, slots=True)
class EstimateQuestion:
    """The question what another one would cost."""

    asked: QueryQuestion | PlanQuestion
    costs: _Costs = field(default_factory=_Costs)
    endless = streams = feed = False

    @property
    def name(self) -> str:
        return self.asked.name

    @property
    def title(self) -> str:
        """One line for people."""
        return f"what it would cost: {self.asked.title}"

    @property
    def work(self) -> Work:
        asked = self.asked.work
        return Work("script" if asked.body == "plan" else asked.body, asked.guard, asked.limits)

    def fold(self) -> Fold:
        return self.costs

    def body(self, ready: Ready, positions: Sequence[tuple[str, bytes]]) -> dict[str, Any]:
        body = self.asked.body(ready, ())
        plan = isinstance(self.asked, PlanQuestion)
        own = body if plan else {name: body.get(name) for name in _KEPT} | {"filter": bool(body.get("filter"))}
        text = base64.b64encode(codec.pack(own)).decode()
        kept = {} if plan else body
        modules = {**kept.get("modules", {}), _MODULE: ship.plan_modules()[_MODULE]}
        programs = kept.get("programs")
        part = any(body.get(name) for name in _KEPT[1:])
        if programs is not None and not ready.python and not part:
            own_shell = {"map": _SHELL_MAP, "lines": False, "follow": False, "combine": None, "positions": []}
            return {**kept, **own_shell, "programs": {**programs, "map": ["sh"]}}
        return {
            **kept,
            "file": kept.get("file", "estimate"),
            "filter": body["filter"],
            "map": _MAP.format(text=text, most_bytes=SAMPLE_BYTES, most_s=SAMPLE_S),
            "lines": False,
            "sources": kept.get("sources", []),
            "encoding": kept.get("encoding", "utf-8"),
            "format": None,
            "follow": False,
            "combine": None,
            "every_s": 1.0,
            "provider": body["provider"],
            "positions": [],
            "modules": modules,
            "programs": None if programs is None else {name: of for name, of in programs.items() if name == "filter"},
        }


async def estimated(
    session: Session,
    asked: QueryQuestion | PlanQuestion,
    entries: Sequence[Mapping[str, Any]],
    reach: Mapping[str, Any],
    select: Mapping[str, Any] | None,
    options: Options,
    began: float | None = None,
) -> Estimate:
    """Ask what a question would cost.

    Args:
        entries: whom, as `Session.ask` has it; and ``reach``, ``select``.
        options: how long to wait for them.
        began: when this was begun, by `time.monotonic`, if that was before now.
    """
    began = time.monotonic() if began is None else began
    question = EstimateQuestion(asked)
    run = session.ask(question, entries, reach, options, select)
    async for snapshot in run.snapshots():
        coverage = snapshot.coverage
    took_s = time.monotonic() - began
    await session.release(run)
    return _estimate(question.costs.found, coverage, took_s)


def _estimate(found: Mapping[str, Any], coverage: Coverage, took_s: float) -> Estimate:
    providers = {}
    for name, row in coverage.providers.items():
        if name in found:
            providers[name] = Cost.of(found[name])
        elif row.state != "filtered_out":
            providers[name] = Cost(why=row.reason or row.state)
    known = [cost.took_s for cost in providers.values() if cost.bytes is not None]
    left_out = tuple(name for name, row in coverage.providers.items() if row.state == "filtered_out")
    return Estimate(providers, left_out, max(0.0, took_s - max(known)) if known else None)
