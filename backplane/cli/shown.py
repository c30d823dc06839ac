"""How an answer is shown: data on stdout by an output, everything else on stderr, in an order that both survive.

Knows the output options and the two streams. What a line of coverage or a cell says is `backplane.client.outputs`'.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self, TextIO

from backplane.cli.durations import seconds
from backplane.client.notes import Notes

if TYPE_CHECKING:
    from backplane.client.outputs.base import Output
    from backplane.reduce.snapshot import Snapshot
    from backplane.wire.messages import Fault

#: A query that streams shows lines as they come; more often than this nobody can read.
_STREAM_EVERY_S = 0.2
#: The code of a fault that says what a provider lacks.
_LACKING = "missing"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the output options."""
    group = parser.add_argument_group("output")
    add_showing(group)
    group.add_argument("--by-host", action="store_true", help="split every row by host")
    group.add_argument(
        "--limit",
        type=limit,
        default=Limit(None, None),
        metavar="ROWS[,SIZE]",
        help="most of a query without a reduce (10000,10MB)",
    )
    group.add_argument(
        "--groups",
        type=limit,
        default=Limit(2_000_000, 1 << 30),
        metavar="N[,SIZE]",
        help="most groups and memory of an answer (2000000,1GB); more end the query",
    )


def add_showing(group: argparse._ArgumentGroup) -> None:
    """Those of them that do not change what is asked."""
    group.add_argument("--every", type=seconds, default=2.0, metavar="TIME", help="a snapshot so often")
    group.add_argument(
        "-o",
        "--output",
        choices=Forms(("table", "json", "jsonl", "csv", "parquet")),
        metavar="FORM",
        help="form of the answer: table, json, jsonl, csv, parquet (to a file or as parquet=FILE)",
    )
    group.add_argument("--coverage", choices=("full",), help="name every provider in every snapshot, not the last only")
    group.add_argument("-q", "--quiet", action="store_true", help="nothing on stderr but errors")
    group.add_argument("-v", "--verbose", action="store_true", help="every traceback, and the coordinator's log")


class Forms(tuple[str, ...]):
    """The forms of an answer, for argparse; the last one may name a file."""

    __slots__ = ()

    def __contains__(self, form: object) -> bool:
        return tuple.__contains__(self, form) or (isinstance(form, str) and form.startswith("parquet="))


class Limit(NamedTuple):
    """How much of a query without a reduce is taken; None for the default."""

    rows: int | None
    bytes: int | None


def limit(text: str) -> Limit:
    """A limit as users write it, for use as an argparse type.

    Raises:
        argparse.ArgumentTypeError: it means none.

    >>> limit("500"), limit("64MB"), limit("500,64MB")
    (Limit(rows=500, bytes=None), Limit(rows=None, bytes=64000000), Limit(rows=500, bytes=64000000))
    """
    found = re.fullmatch(r"(\d+)?(?:(?:^|,)(\d+)([kMG])B)?", text)
    if not found or not text or not (int(found[1] or 1) and int(found[2] or 1)):
        raise argparse.ArgumentTypeError(f"{text!r} is no limit: write 500, 64MB or 500,64MB")
    size = int(found[2]) * {"k": 10**3, "M": 10**6, "G": 10**9}[found[3]] if found[2] else None
    return Limit(int(found[1]) if found[1] else None, size)


def show(
    args: argparse.Namespace,
    *,
    streams: bool,
    title: str,
    sought: re.Pattern[str] | None = None,
    keys: Sequence[str] | None = None,
) -> Show:
    """The shower that the options and the streams ask for."""
    from backplane.client.outputs import choose

    isatty = sys.stdout.isatty()
    output = choose.make(
        args.output,
        sys.stdout,
        isatty=isatty,
        size=shutil.get_terminal_size,
        color=not os.environ.get("NO_COLOR"),
        streams=streams,
        title=title,
        sought=sought,
        keys=keys,
    )
    every_s = min(args.every, _STREAM_EVERY_S) if streams and args.output is None else args.every
    return Show(
        output,
        out=sys.stdout,
        every_s=every_s if output.live else None,
        err=sys.stderr,
        quiet=args.quiet,
        verbose=args.verbose,
        coverage_full=args.coverage == "full",
        says_coverage=not (isatty and args.output in (None, "table") and not streams),
        ends=not getattr(args, "follow", False),
    )


class Show:
    """Shows one query's answer.

    Attributes:
        out: where the output writes data. While a query is asked, nobody else may.
        every_s: seconds between the snapshots that the output wants; None for the final one only.
        coverage_full: every snapshot names every provider.
        status: the exit status, of the last snapshot shown.
    """

    def __init__(
        self,
        output: Output,
        *,
        out: TextIO,
        every_s: float | None,
        err: TextIO,
        quiet: bool = False,
        verbose: bool = False,
        coverage_full: bool = False,
        says_coverage: bool = True,
        ends: bool = False,
    ) -> None:
        self.every_s = every_s
        self.coverage_full = coverage_full
        self.status = 1
        self.out = out
        self._output = output
        self._err = err
        self._quiet = quiet
        self._verbose = verbose
        self._says_coverage = says_coverage
        self._ends = ends
        self._traced: set[str] = set()
        #: Reasons that the coverage of an answer which comes by itself will most likely give, and whose each was first.
        self._untold: dict[str, str] = {}
        self._notes = Notes(self._printed)

    def snapshot(self, snapshot: Snapshot) -> None:
        """Show a snapshot; after the final one, its coverage on stderr where the output itself does not say it."""
        self._output.show(snapshot)
        self.status = snapshot.exit_status
        if snapshot.final:
            reasons = {name: row.reason or "" for name, row in snapshot.coverage.providers.items()}
            # Its own reason first: thousands of providers may each have another.
            self._tell(
                {
                    text: name
                    for text, name in self._untold.items()
                    if text not in reasons.get(name, "") and not any(text in each for each in reasons.values())
                }
            )
        if snapshot.final and self._says_coverage:
            self._covered(snapshot)

    def now(self, snapshot: Snapshot) -> None:
        """Show the only snapshot that is wanted of a query which goes on: it is well where every provider is so far."""
        from backplane.reduce.coverage import COMPLETE

        well = COMPLETE | {"running"}
        self._output.show(snapshot, last=True)
        self.status = 0 if snapshot.coverage.states.keys() <= well else snapshot.exit_status
        if self._says_coverage:
            self._covered(snapshot)

    def _covered(self, snapshot: Snapshot) -> None:
        from backplane.client.outputs.coverage import coverage_lines

        for line in coverage_lines(snapshot):
            self.say(line)

    def say(self, text: str) -> None:
        """A line for people, about the query."""
        self._notes.flush()
        if not self._quiet:
            self._write(f"logreduce: {_safe(text)}\n")

    def aside(self, text: str) -> None:
        """A line about coverage, which a table that grows shows by itself."""
        if self._says_coverage:
            self.say(text)

    def note(self, provider: str, text: str) -> None:
        """What a script printed on a provider."""
        if not self._quiet:
            self._notes.add(provider, text)

    def _printed(self, lines: list[str]) -> None:
        self._write("".join(f"{_safe(line)}\n" for line in lines))

    def fault(self, provider: str, fault: Fault) -> None:
        """An error of a script: each different traceback once, however many providers raise it.

        That a provider lacks what a question needs is no error: coverage says it, as `refused`. So it does of what has
        no traceback, as a log that is not there; only who follows will not wait for that.
        """
        traceback = fault.payload.decode("utf-8", "replace")
        if not traceback and self._ends and not self._quiet:
            self._untold.setdefault(fault.text, provider)
            return
        self._notes.flush()
        known = (traceback or fault.text) in self._traced
        self._traced.add(traceback or fault.text)
        if self._quiet and fault.code == _LACKING:
            return
        lines = [f"logreduce: {_safe(provider)}: {_safe(fault.text)}"]
        if traceback and (self._verbose or not known):
            lines += [f"    {_safe(line)}" for line in traceback.rstrip().splitlines()]
        if self._verbose or not known:
            self._write("\n".join(lines) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._notes.flush()
        self._tell(self._untold)
        self._output.close()

    def _tell(self, faults: Mapping[str, str]) -> None:
        for text, provider in faults.items():
            self._write(f"logreduce: {_safe(provider)}: {_safe(text)}\n")
        self._untold = {}

    def _write(self, text: str) -> None:
        # A growing table redraws over whatever is written below it: it is taken away, and comes back with the next
        # snapshot.
        self._output.close()
        self._err.write(text)
        self._err.flush()


def _safe(text: str) -> str:
    from backplane.client.outputs.harmless import harmless

    return harmless(text, keep="\t")
