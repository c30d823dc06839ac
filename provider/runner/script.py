"""A user's source text: compiled, run, and known to tracebacks.

Knows the payload of a START of body ``script``. Does not know where lines come from or where values go.
"""

import sys
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from provider.runner import faults
from provider.runner.faults import Drained, Failure, Fault
from provider.runner.pack import unpackb

#: A StopIteration that leaves a generator is an error in Python 3.7 and later, and would be a silent end in 3.6.
_FLAGS = 0x80000 if sys.version_info < (3, 7) else 0


class Script(NamedTuple):
    """What home asks for (docs/reference/frames.md, "start")."""

    file: str
    filter: Optional[str]
    #: None: the filter is all that is asked for.
    map: Optional[str]
    lines: bool
    sources: List[str]
    encoding: Optional[str]
    follow: bool
    combine: Optional[List[str]]
    every_s: float
    name: str
    labels: Dict[str, str]
    positions: Dict[str, bytes]
    #: The command of each script that is no Python, by ``filter`` and ``map``.
    programs: Dict[str, List[str]]
    #: What such a script finds in its environment.
    environ: Dict[str, str]
    needs: List[str]
    #: Each of the two is a file of its own.
    folder: bool
    #: Seconds since the epoch.
    since: Optional[float]
    until: Optional[float]
    #: Older generations of each log are read too.
    rotated: bool
    #: Home knew the sources of before.
    resumed: bool
    #: Of which the lines are records; None for lines as they are.
    format: Optional[Dict[str, Any]]
    #: Size, step and lateness in seconds of the windows that values belong to; None for all of time.
    window: Optional[Tuple[float, float, float]]

    def place(self, name: str) -> str:
        """The file that ``filter`` or ``map`` is in, where it is Python."""
        return "%s/%s.py" % (self.file, name) if self.folder else self.file


def parse(payload: bytes) -> Script:
    """The script in a START's payload.

    Raises:
        Failure: it is not one.
    """
    try:
        fields = unpackb(payload)
        importable(fields.get("modules") or {})
        provider = fields.get("provider") or {}
        return Script(
            file=_typed(str, fields["file"]),
            filter=None if fields.get("filter") is None else _typed(str, fields["filter"]),
            map=None if fields["map"] is None else _typed(str, fields["map"]),
            lines=bool(fields["lines"]),
            sources=_texts(fields.get("sources") or []),
            encoding=None if fields.get("encoding", "utf-8") is None else _typed(str, fields.get("encoding", "utf-8")),
            follow=bool(fields.get("follow")),
            combine=list(fields["combine"]) if fields.get("combine") else None,
            every_s=max(0.05, float(fields.get("every_s", 1.0))),
            name=str(provider.get("name", "")),
            labels=dict(provider.get("labels") or {}),
            positions={_typed(str, source): _typed(bytes, at) for source, at in fields.get("positions") or []},
            folder=fields.get("programs") is not None,
            programs={name: _texts(argv) for name, argv in (fields.get("programs") or {}).items()},
            environ={_typed(str, name): _typed(str, text) for name, text in (fields.get("environ") or {}).items()},
            needs=_texts(fields.get("needs") or []),
            since=None if fields.get("since") is None else float(fields["since"]),
            until=None if fields.get("until") is None else float(fields["until"]),
            rotated=bool(fields.get("rotated")),
            resumed=bool(fields.get("resumed")),
            format=None if fields.get("format") is None else _typed(dict, fields["format"]),
            window=None if fields.get("window") is None else _window(*fields["window"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise Failure(Fault("protocol", "the script did not arrive as one: %s" % faults.sentence(exc)))


def importable(modules: Dict[str, str]) -> None:
    """Makes modules of the runner importable that travel with the jobs that need them."""
    add = getattr(__loader__, "add", None)  # type: ignore[name-defined]
    if add is not None:  # at home they are files
        add({_typed(str, name): _typed(str, source) for name, source in modules.items()})


def _typed(kind: Any, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError("%r is no %s" % (value, kind.__name__))
    return value


def _window(size_s: Any, every_s: Any, lateness_s: Any) -> Tuple[float, float, float]:
    return float(size_s), float(every_s), float(lateness_s)


def _texts(value: Any) -> List[str]:
    return [_typed(str, text) for text in value]


def function(text: str, name: str, file: str) -> Callable[..., Any]:
    """Runs a source text and takes the function out of it.

    Raises:
        Failure: ``syntax``, ``raised`` while running it, or ``no_map`` when it defines no such function.
    """
    python = "%d.%d.%d" % sys.version_info[:3]
    faults.texts[file] = text
    try:
        code = compile(text, file, "exec", _FLAGS, True)
    except SyntaxError as exc:
        raise Failure(faults.syntax(exc, file, python))
    except ValueError as exc:  # a NUL, which older versions report so
        raise Failure(Fault("syntax", faults.sentence(exc), file))
    # `__name__` is not `__main__`: a file that is also run by hand guards its own main with it.
    namespace: Dict[str, Any] = {"__name__": "query", "__file__": file, "__builtins__": __builtins__}
    try:
        exec(code, namespace)
    except (MemoryError, Drained):
        raise
    except BaseException as exc:
        raise Failure(faults.raised(exc, file))
    if "linecache" in sys.modules:  # it shows tracebacks itself
        faults.remind(sys.modules["linecache"])
    found = namespace.get(name)
    if not callable(found):
        raise Failure(Fault("no_map", "there is no %s in it" % name, file))
    return found  # type: ignore[no-any-return]


def yield_line(map_text: str, values: Any) -> Optional[int]:
    """The line of the yield that a bad value came from, as well as it can be known.

    Values are packed in batches, so a generator has gone on since. If its text holds one yield, it is that one.
    """
    import ast

    lines = [node.lineno for node in ast.walk(ast.parse(map_text)) if isinstance(node, (ast.Yield, ast.YieldFrom))]
    if len(set(lines)) == 1:
        return lines[0]
    frame = getattr(values, "gi_frame", None)
    line = frame.f_lineno if frame is not None else None
    return line
