"""A query as it was read: frozen, complete, and with nothing left to look up.

Knows what a start of it says to a runner (docs/reference/frames.md). Does not know files or Python's syntax.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal

Scalar = bool | int | float | str | bytes
Value = Scalar | list[Scalar]

#: What a job that needs to write may make a file of.
WRITTEN_MB: Final = 1 << 10
#: What stands where a secret stood.
MASK: Final = "'***'"


class Secret:
    """A parameter's value that no log, audit or message shows."""

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.value == self.value

    def __hash__(self) -> int:
        return hash(self.value)


@dataclass(frozen=True, slots=True)
class Reduction:
    """What becomes of emitted values at home.

    Attributes:
        kind: ``stream`` is none: values are put out as they come.
        aggregates: for ``aggregates``: their names, in the order of the columns.
        function: for ``function``: folds two values of a key into one, seeded with the key's first.
        factory: for ``class``: makes the object with ``add`` and ``rows``.
        argv: for ``program``: the command, run on this machine.
        path: for ``program``: its file.
        line: where the file says so; None for ``stream``.
    """

    kind: Literal["aggregates", "function", "class", "program", "stream"]
    aggregates: tuple[str, ...] = ()
    function: Callable[[Any, Any], Any] | None = None
    factory: Callable[[], Any] | None = None
    argv: tuple[str, ...] = ()
    path: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        """For people: what it is and where it runs."""
        if self.kind == "aggregates":
            return ", ".join(self.aggregates)
        if self.kind == "stream":
            return "none: values are shown as they come"
        if self.kind == "program":
            return f"the program {self.path}, here at home"
        what = "def reduce(a, b)" if self.kind == "function" else "class Reduce"
        return f"{what} of line {self.line}, here at home"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One question, ready to be asked.

    Attributes:
        title: what is shown while it runs.
        name: the file's without its ending, or the library's.
        file: the query file as the user named it; tracebacks say it.
        sources: paths, globs, ``tick:5s`` or ``-``; none for ``def map():``.
        takes_lines: ``map`` takes its source.
        encoding: of the sources; None gives bytes.
        format: what makes records of their lines; None where ``map`` takes lines.
        filter_source: source text that defines ``filter``, with the file's line numbers; None: every provider is kept.
        map_source: the same for ``map``.
        programs: what runs the two where they are no Python, by ``filter`` and ``map``; None: the query is one file.
        environ: variables that such programs find.
        guard: the scripts may start processes, so that a guard is to stand over them.
        modules: of the runner, which travel with this query because others do not need them.
        reduction: what becomes of the values.
        combine: aggregates that a provider may fold before it sends; None sends the values themselves.
        params: by name, secret ones as `Secret`.
        needs: what the scripts want beyond reading logs.
        effects: running twice at a time would harm.
        replayable: a map that breaks may begin again where it was without harm to the answer.
        replayable_reason: why, or why not, as one clause.
        warnings: what the user may not have meant.
    """

    title: str
    name: str
    file: str
    sources: tuple[str, ...]
    takes_lines: bool
    encoding: str | None = "utf-8"
    format: Mapping[str, Any] | None = field(default=None, repr=False)
    filter_source: str | None = field(default=None, repr=False)
    map_source: str = field(repr=False)
    programs: Mapping[str, tuple[str, ...]] | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    guard: bool = True
    modules: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    reduction: Reduction
    combine: tuple[str, ...] | None = None
    params: Mapping[str, Value | Secret] = field(default_factory=lambda: MappingProxyType({}))
    needs: tuple[str, ...] = ()
    effects: bool = False
    replayable: bool = False
    replayable_reason: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def endless(self) -> bool:
        """It has no end of its own even where it does not follow: a tick, or a map without a source."""
        return not self.takes_lines or any(source.startswith("tick:") for source in self.sources)

    @property
    def profile(self) -> str:
        """How the scripts run on a provider."""
        return "open"

    @property
    def body(self) -> str:
        """The kind of a start's payload."""
        return "script" if self.programs is None else "folder"

    @property
    def file_mb(self) -> int:
        """Megabytes that a file may grow to which it writes: none unless it says that it writes."""
        return WRITTEN_MB if any(need.startswith("write:") for need in self.needs) else 0

    @property
    def secret(self) -> tuple[str, ...]:
        """Names of the secret parameters."""
        return tuple(name for name, value in self.params.items() if isinstance(value, Secret))

    def masked(self, source: str) -> str:
        """A source of this query with its secrets hidden, for eyes and logs."""
        for value in self.params.values():
            if isinstance(value, Secret) and value.value:
                source = source.replace(ascii(value.value), MASK)
        return source

    def start_payload(
        self,
        provider: str,
        labels: Mapping[str, str],
        *,
        follow: bool,
        every_s: float,
        positions: Sequence[tuple[str, bytes]] = (),
    ) -> dict[str, Any]:
        """The payload of a start, before it is packed.

        Args:
            provider: the provider's name.
            labels: the provider's labels.
            follow: go on at the end of the sources.
            every_s: seconds that emitted values may wait for their cut.
            positions: where to resume each source; others begin by ``follow``.
        """
        payload = {
            "file": self.file,
            "filter": self.filter_source,
            "map": self.map_source,
            "lines": self.takes_lines,
            "sources": list(self.sources),
            "encoding": self.encoding,
            "follow": follow,
            "combine": None if self.combine is None else list(self.combine),
            "every_s": every_s,
            "provider": {"name": provider, "labels": dict(labels)},
            "positions": [[source, position] for source, position in positions],
            "needs": list(self.needs),
        }
        if self.format is not None:
            payload["format"] = dict(self.format)
        if self.modules:
            payload["modules"] = dict(self.modules)
        if self.programs is not None:
            payload["programs"] = {name: list(argv) for name, argv in self.programs.items()}
            payload["environ"] = dict(self.environ)
        return payload
