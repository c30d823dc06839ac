"""Errors of a user's script as data: a code, one sentence, a place, a traceback that starts in the user's file.

Knows exceptions and the script's file name. Does not know frames.
"""

from typing import Any, Dict, NamedTuple, Optional

#: A reason is read in a table's cell; an exception's text may be a whole log line.
_TEXT_CHARS = 400
#: A traceback is bounded from both ends: the raise is at the bottom, and how it came to it at the top.
_TRACEBACK_CHARS = 8000

#: The text of what runs, by file name: the files are not on this host.
texts: "Dict[str, str]" = {}


class Fault(NamedTuple):
    """What a FAULT says, and the state that its job ends in."""

    code: str
    text: str
    file: Optional[str] = None
    line: Optional[int] = None
    traceback: str = ""
    state: str = "failed"

    @property
    def reason(self) -> str:
        """One sentence with its place."""
        if self.file is None:
            return self.text
        return "%s:%s: %s" % (self.file, self.line, self.text) if self.line else "%s: %s" % (self.file, self.text)


class Failure(Exception):
    """The job cannot go on, and knows how to say it."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.reason)
        self.fault = fault


class Drained(BaseException):
    """Raised inside a script that has no lines to come to the end of, when it is asked to end.

    Not an Exception, so that ``except Exception`` in a script does not keep it.
    """


def sentence(exc: BaseException) -> str:
    """``ValueError: what it says``, on one line, whatever the exception's own ``__str__`` does."""
    try:
        text = " ".join(str(exc).split())
    except BaseException:
        text = "(its text cannot be shown)"
    text = _bounded(text, _TEXT_CHARS)
    return "%s: %s" % (type(exc).__name__, text) if text else type(exc).__name__


def raised(exc: BaseException, file: str) -> Fault:
    """The fault of an exception that came out of a script."""
    first = exc.__traceback__
    while first is not None and first.tb_frame.f_code.co_filename != file:
        first = first.tb_next
    shown = _shown("format_exception", type(exc), exc, first or exc.__traceback__)
    return Fault("raised", sentence(exc), file, place(exc, file), shown)


def memory(limit_mb: int, file: str, line: Optional[int]) -> Fault:
    """The fault of a job that needed more than it may."""
    return Fault("memory", "needs more than its limit of %d MB of memory" % limit_mb, file, line, state="killed")


def syntax(exc: SyntaxError, file: str, python: str) -> Fault:
    """The fault of a text that this Python cannot compile: perhaps it is only too new for it."""
    text = "Python %s on this provider cannot compile it: %s" % (python, exc.msg)
    return Fault("syntax", text, file, exc.lineno, _shown("format_exception_only", type(exc), exc))


def _shown(form: str, *error: Any) -> str:
    """What the module `traceback` makes of an error, which shows the lines of ours.

    It is imported where it is needed, since it costs a host 8 ms. A script may have left nothing that this takes, as
    file descriptors or memory: then its sentence and its place must do.
    """
    try:
        import linecache
        import traceback

        remind(linecache)
        return _bounded("".join(getattr(traceback, form)(*error)), _TRACEBACK_CHARS)
    except Exception:
        return ""


def remind(linecache: Any) -> None:
    """Tells the module of that name the text of what runs here."""
    for file, text in texts.items():
        linecache.cache[file] = (len(text), None, text.splitlines(True), file)


def place(exc: BaseException, file: str) -> Optional[int]:
    """The innermost line of the script that an exception passed, if any."""
    trace = exc.__traceback__
    line = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _bounded(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    return text[: most // 2] + " ... " + text[-most // 2 :]
