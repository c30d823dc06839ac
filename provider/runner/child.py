"""A job in its own process: filter, then map, then an end; and what signals do meanwhile.

Knows the order of things, frames of a job, and how to end in a plain sentence. Does not know how lines are read or
values are packed. Nothing here is trusted by the supervisor.

Theory of operation
-------------------
Two signals come in. A timer makes beats, and makes values go that have waited long enough; the drain signal asks for an
end. A handler may run between any two instructions, so it does no more than is safe where it finds itself:

* with lines, it only takes away the lines that the map has not used up (`lines.Handout.interrupt`); the work is done at
  the map's next request, which is where a cut is right;
* a ``map()`` without lines may never come back to us, so there the handler itself cuts, or raises `Drained` inside
  the script, but only while the script is running (``_in_script``) and not in our own pump.
"""

import gc
import io
import resource
import signal
import sys
import time
from itertools import islice
from types import FrameType
from typing import Any, Callable, Iterator, Optional

from provider.runner import faults, frames, script
from provider.runner.aggregates import AggregateError, Combiner, tag
from provider.runner.cuts import BadValue, Cuts
from provider.runner.faults import Drained, Failure, Fault
from provider.runner.host import Provider
from provider.runner.lines import Handout, Lines, Source
from provider.runner.script import Script
from provider.runner.spawn import DRAIN_SIGNAL, FRAMES_FD, idle
from provider.runner.writer import Writer

_BEAT_S = 1.0
#: The timer has to catch both rhythms; when something could not be done at once it comes again after so long.
_AGAIN_S = 0.02


def run(epoch: int, payload: bytes, kept: bool = False) -> None:
    """Does a job and says how it ended. Everything that a script can raise is caught here."""
    _text_streams()
    ChildJob(Writer(FRAMES_FD, epoch), epoch, kept).run(payload)


def _text_streams() -> None:
    """Prints are UTF-8, whatever the host's locale is, and never fail for what is in them."""
    for name, fd in (("stdout", 1), ("stderr", 2)):
        raw = io.FileIO(fd, "w", closefd=False)
        stream = io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", "backslashreplace", line_buffering=True)
        setattr(sys, name, stream)


class ChildJob:
    """See the module."""

    def __init__(self, writer: Writer, epoch: int, kept: bool) -> None:
        self._writer = writer
        self._epoch = epoch
        #: The filter has said yes already.
        self._kept = kept
        self._file = "the query"
        self._script: Optional[Script] = None
        self._source = Source()
        self._cuts = Cuts(writer, None, None, 1.0)
        self._handout: Optional[Handout] = None
        #: The script's code is running, below our pump.
        self._in_script = False
        self._draining = False
        #: `Drained` has been raised; a script that swallows it is killed later.
        self._raised = False
        self._beat_at = 0.0
        self._beaten: "dict[str, Any]" = {}
        self._tick_s = _BEAT_S
        #: What values pass through on their way into cuts.
        self._passed: "Callable[[Iterator[Any]], Iterator[Any]]" = iter

    # --- from begin to end

    def run(self, payload: bytes) -> None:
        """Filter, map, end."""
        signal.signal(DRAIN_SIGNAL, self._on_drain)
        signal.signal(signal.SIGALRM, self._on_timer)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (DRAIN_SIGNAL,))
        state, reason = "failed", None  # type: str, Optional[str]
        try:
            state, reason = self._stages(payload)
        except Failure as exc:
            state, reason = self._fail(exc.fault)
        except MemoryError as exc:
            state, reason = self._out_of_memory(exc)
        except Drained:
            state = "done"
        except Exception as exc:
            state, reason = self._fail(faults.raised(exc, self._file))
        self._end(state, reason)

    def _stages(self, payload: bytes) -> "tuple[str, Optional[str]]":
        wanted = script.parse(payload)
        self._script = wanted
        self._file = wanted.file
        provider = Provider(wanted.name, wanted.labels)
        if wanted.needs:
            from provider.runner import needs

            needs.check(wanted.needs)
        keep = self._kept or self._filter(wanted, provider)
        self._writer.send(frames.VERDICT, {"keep": keep, "reason": None})
        if not keep:
            return "filtered_out", None
        if wanted.map is None:
            return "done", None
        idle()
        self._map(wanted, wanted.map, provider)
        return "done", None

    def _filter(self, wanted: Script, provider: Provider) -> bool:
        if wanted.filter is None:
            return True
        if "filter" in wanted.programs:
            from provider.runner import piped

            return piped.keeps(piped.start(wanted, "filter"))
        file = wanted.place("filter")
        function = script.function(wanted.filter, "filter", file)
        try:
            with _Inside(self):
                return bool(function(provider))
        except (MemoryError, Drained):
            raise
        except BaseException as exc:
            raise Failure(faults.raised(exc, file))

    def _map(self, wanted: Script, text: str, provider: Provider) -> None:
        program = "map" in wanted.programs
        self._file = file = wanted.file if program else wanted.place("map")
        with _Inside(self):
            function = script.function(text, "map", file) if not program else None
        self._prepare(wanted)
        self._tick_s = min(_BEAT_S, wanted.every_s)
        signal.setitimer(signal.ITIMER_REAL, self._tick_s, self._tick_s)
        values: Any = None
        try:
            with _Inside(self):
                if function is None:
                    values = self._handout.values()  # type: ignore[union-attr]  # _prepare made it a Piped
                else:
                    values = function(Lines(self._handout, provider)) if self._handout is not None else function()
            values = self._iterator(values)
            self._pump(self._passed(values))
            self._close()
        except BadValue as exc:
            self._quiet()
            line = None if program else script.yield_line(text, values)
            raise Failure(Fault(exc.code, str(exc), file, line))
        except Drained:
            self._close()
        except Failure:
            self._close()
            raise
        except MemoryError:
            raise
        except BaseException as exc:
            self._close()
            raise Failure(faults.raised(exc, file))

    def _prepare(self, wanted: Script) -> None:
        combiner = None
        if wanted.combine:
            try:
                combiner = Combiner(wanted.combine, tag(wanted.name, self._epoch))
            except AggregateError as exc:
                raise Failure(Fault("usage", str(exc)))
        if "map" in wanted.programs:
            self._prepare_program(wanted, combiner)
            return
        if wanted.lines and wanted.window is not None:
            from provider.runner import opening, stamped

            self._source, self._cuts, self._handout = stamped.prepare(wanted, self._writer, self._epoch, opening.source)
            self._passed = self._handout.stamped
            self._cuts.counters = self._counters
            return
        if wanted.lines:
            from provider.runner import opening, sources

            self._source = opening.source(wanted, sources.Told(self._writer))
            if wanted.format is not None:
                from provider.runner.records import Records

                self._source = Records(self._source, wanted.format, wanted.sources)
        moves = self._source.moves if self._source.positioned else None
        self._cuts = Cuts(self._writer, combiner, moves, wanted.every_s)
        self._cuts.counters = self._counters
        if wanted.lines:
            self._handout = Handout(self._source, self._cuts)

    def _prepare_program(self, wanted: Script, combiner: Optional[Combiner]) -> None:
        from provider.runner import piped

        if wanted.lines:
            from provider.runner import opening

            self._source = opening.source(wanted, piped.Untold(self._writer))
        self._cuts = Cuts(self._writer, combiner, None, wanted.every_s)
        source = self._source if wanted.lines else None
        self._handout = piped.Piped(source, self._cuts, piped.start(wanted, "map"), wanted.encoding)

    def _iterator(self, values: Any) -> "Iterator[Any]":
        """What a map gave: a generator, another iterable, or nothing."""
        if values is None:
            return iter(())
        if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
            text = "map returned a %s, it should yield values or return a list of them" % type(values).__name__
            raise Failure(Fault("raised", text, self._file))
        return iter(values)

    def _pump(self, values: "Iterator[Any]") -> None:
        """Moves values into cuts until there are no more.

        ``extend`` appends each value as it comes, so that whoever looks at the batch while the script runs (a handler,
        a cut between two lines) sees all of them; and it is faster than a loop.
        """
        cuts = self._cuts
        while True:
            room = cuts.room
            before = cuts.emitted
            with _Inside(self):
                cuts.batch.extend(islice(values, room))
            got = cuts.emitted - before
            cuts.spill()
            self._check()
            if got < room:
                return
            if self._handout is None:
                # An iterator in C (itertools) is never interrupted within itself, only here.
                if self._draining and not self._raised:
                    raise Drained
                if cuts.late():
                    cuts.cut()

    def _check(self) -> None:
        """What the script kept to itself of what was wrong with its lines."""
        if self._handout is not None and self._handout.failed is not None:
            raise self._handout.failed

    def _close(self) -> None:
        """The last cut."""
        self._quiet()
        if self._handout is not None:
            self._handout.settle()
        self._cuts.cut()

    def _quiet(self) -> None:
        """From here on no handler does more than a beat."""
        self._in_script = False
        self._raised = True

    # --- signals

    def _on_drain(self, _number: int, frame: Optional[FrameType]) -> None:
        self._draining = True
        if self._handout is not None:
            self._handout.stop = True
            self._handout.interrupt()
        else:
            self._raise_drained(frame)

    def _raise_drained(self, frame: Optional[FrameType]) -> None:
        if self._raised:
            return
        if not self._in_script_now(frame):
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_S, self._tick_s)
            return
        self._raised = True
        raise Drained

    def _in_script_now(self, frame: Optional[FrameType]) -> bool:
        """The handler interrupted the script itself, not us just before or behind it."""
        return self._in_script and frame is not None and frame.f_code.co_filename != _OURS and not self._writer.busy

    def _on_timer(self, _number: int, frame: Optional[FrameType]) -> None:
        now = time.monotonic()
        # Again, since a script that uses signal.alarm has stopped it.
        signal.setitimer(signal.ITIMER_REAL, self._tick_s, self._tick_s)
        if now >= self._beat_at:
            self._beat_at = now + _BEAT_S * 0.9
            counters = self._counters()
            if counters != self._beaten:
                self._beaten = counters
                self._writer.offer(frames.BEAT, counters)
        if self._handout is not None:
            if self._cuts.late():
                self._handout.interrupt()
            if self._in_script_now(frame):
                self._check()
        elif self._draining:
            self._raise_drained(frame)
        elif self._cuts.late() and self._in_script_now(frame):
            self._cut_inside()

    def _cut_inside(self) -> None:
        """A cut out of the handler, while a map without lines is busy or asleep."""
        self._in_script = False
        try:
            self._cuts.cut()
        finally:
            self._in_script = True

    # --- the end

    def _counters(self) -> "dict[str, Any]":
        handout = self._handout
        return {
            "lines": (handout.lines if handout is not None else 0) + self._source.parse_errors,
            "bytes": handout.bytes if handout is not None else 0,
            # What a script matched is not knowable: it may emit for a line, for many, or at the end.
            "matched": 0,
            "emitted": self._cuts.emitted,
            "dropped": self._source.dropped(),
            "parse_errors": self._source.parse_errors,
            "watermark": self._source.watermark,
            "lag_s": self._source.lag_s(),
        }

    def _fail(self, fault: Fault) -> "tuple[str, str]":
        self._quiet()
        header = {"code": fault.code, "text": fault.text, "file": fault.file, "line": fault.line}
        self._writer.send(frames.FAULT, header, fault.traceback.encode("utf-8", "surrogateescape"))
        return fault.state, fault.reason

    def _out_of_memory(self, exc: MemoryError) -> "tuple[str, str]":
        """Says so with the reserve, which the hard limit holds back from the script; what it had emitted stays."""
        self._quiet()
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
        line = faults.place(exc, self._file)
        exc.__traceback__ = None
        gc.collect()
        try:
            self._close()
        except (MemoryError, BadValue):
            del self._cuts.batch[:]
        return self._fail(faults.memory(soft >> 20, self._file, line))

    def _end(self, state: str, reason: Optional[str]) -> None:
        self._quiet()
        signal.setitimer(signal.ITIMER_REAL, 0)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                pass
        header = {"seq": self._cuts.seq, "state": state, "reason": reason, "counters": self._counters()}
        self._writer.send(frames.END, header)


class _Inside:
    """While the script's code runs below us."""

    __slots__ = ("_job",)

    def __init__(self, job: ChildJob) -> None:
        self._job = job

    def __enter__(self) -> None:
        self._job._in_script = True

    def __exit__(self, *_: object) -> None:
        self._job._in_script = False


#: The file name of this module's code, by which a handler tells our pump from the script.
_OURS = run.__code__.co_filename
