"""The constants of a query file that have a meaning of their own: read as literals, never executed.

Knows their names, types and defaults. Does not know `map`, `filter` and `reduce` where those are code.
"""

from __future__ import annotations

import ast
import codecs
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from backplane.query.near import did_you_mean, listed
from backplane.query.params import assigned
from backplane.query.problems import Problems
from backplane.query.scope import Module
from backplane.wire.errors import UsageError

#: What a script may want beyond reading logs, by what stands before the colon; True: something stands behind it.
_NEEDS: Final = {"exec": True, "net": True, "ptrace": False, "write": True, "module": True}
_TICK: Final = re.compile(r"tick:(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Settings:
    """What a query file says of itself. ``None`` where it does not say."""

    sources: tuple[str, ...] | None = None
    encoding: str | None = "utf-8"
    needs: tuple[str, ...] = ()
    combine: bool | None = None
    replayable: bool | None = None
    effects: bool = False
    secret: tuple[str, ...] = ()
    format: Mapping[str, Any] | None = None

    @property
    def modules(self) -> frozenset[str]:
        """Modules beyond the standard library that ``needs`` declares."""
        return frozenset(need.partition(":")[2] for need in self.needs if need.startswith("module:"))


def read(module: Module, problems: Problems) -> Settings:
    """The settings of a file. What is wrong goes to ``problems``, and the default stands in for it."""
    reader = _Reader(module, problems)
    return Settings(
        sources=reader.sources(),
        encoding=reader.encoding(),
        needs=reader.needs(),
        combine=reader.flag("combine"),
        replayable=reader.flag("replayable"),
        effects=bool(reader.flag("effects")),
        secret=reader.texts("secret", 'secret = ["token"]') or (),
        format=reader.format(),
    )


def line_of(module: Module, name: str) -> int:
    """The line that binds a name last."""
    return module.binders[name][-1].node.lineno


def node_of(module: Module, name: str) -> ast.expr | None:
    """The value of a name that is bound once, by a plain assignment."""
    binders = module.binders.get(name, ())
    if len(binders) != 1:
        return None
    return assigned(binders[0].node)[1]


def secret(module: Module, names: Sequence[str], values: Mapping[str, object], problems: Problems) -> frozenset[str]:
    """The parameters among these that are secret. What is wrong goes to ``problems``."""
    texts = {name for name, value in values.items() if isinstance(value, str)}
    for name in names:
        if name not in texts:
            near = did_you_mean(name, texts)
            problems.wrong(
                f'`secret` names {name!r}, which is no parameter that holds a text: write {name} = "" for it{near}',
                line_of(module, "secret"),
            )
    return frozenset(names) & texts


class _Reader:
    def __init__(self, module: Module, problems: Problems) -> None:
        self._module = module
        self._problems = problems

    def _wrong(self, name: str, text: str) -> None:
        self._problems.wrong(text, line_of(self._module, name))

    def _literal(self, name: str, example: str) -> object:
        if name not in self._module.binders:
            return _MISSING
        node = node_of(self._module, name)
        try:
            if node is not None:
                return ast.literal_eval(node)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            pass
        self._wrong(
            name,
            f"`{name}` is read without running the file: write it out, once, at the top level, as in {example}",
        )
        return _MISSING

    def flag(self, name: str) -> bool | None:
        value = self._literal(name, f"{name} = True")
        if value is _MISSING or isinstance(value, bool):
            return value if isinstance(value, bool) else None
        self._wrong(name, f"`{name}` is True or False, not {value!r}")
        return None

    def texts(self, name: str, example: str) -> tuple[str, ...] | None:
        value = self._literal(name, example)
        if value is _MISSING:
            return None
        if isinstance(value, str):
            return (value,)
        if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
            return tuple(value)
        self._wrong(name, f"`{name}` is a text or a list of texts, as in {example}, not {value!r}")
        return None

    def sources(self) -> tuple[str, ...] | None:
        found = self.texts("logs", 'logs = "/var/log/syslog"')
        if found is None:
            return None
        for text in wrong_sources(found):
            self._wrong("logs", f"`logs`: {text}")
        return found

    def format(self) -> Mapping[str, Any] | None:
        value = self._literal("format", 'format = "nginx"')
        if value is _MISSING:
            return None
        if not isinstance(value, str):
            self._wrong("format", f'`format` is the name of a format, as in format = "nginx", not {value!r}')
            return None
        from backplane.query.formats import format_data

        try:
            return format_data(value)
        except UsageError as exc:
            self._wrong("format", f"`format`: {exc}")
            return None

    def encoding(self) -> str | None:
        value = self._literal("encoding", 'encoding = "latin-1"')
        if value is _MISSING or value is None:
            return "utf-8" if value is _MISSING else None
        if not isinstance(value, str):
            self._wrong("encoding", f"`encoding` is the name of an encoding, or None for bytes, not {value!r}")
        elif not _is_text_encoding(value):
            self._wrong("encoding", f'there is no text encoding {value!r}: use "utf-8", "latin-1" or None for bytes')
        elif "\n".encode(value) != b"\n":
            self._wrong("encoding", f"lines in {value!r} do not end in a newline byte: use None and decode in `map`")
        else:
            return value
        return "utf-8"

    def needs(self) -> tuple[str, ...]:
        found = self.texts("needs", 'needs = ["exec:strace"]') or ()
        for need in found:
            kind, colon, rest = need.partition(":")
            if kind not in _NEEDS:
                near = did_you_mean(kind, _NEEDS) or f"; there are {listed(_NEEDS)}"
                self._wrong("needs", f"`needs`: nothing is known of {need!r}{near}")
            elif _NEEDS[kind] != bool(rest) or bool(colon) != bool(rest):
                self._wrong(
                    "needs",
                    f"`needs`: {kind!r} " + ("wants something behind a colon" if _NEEDS[kind] else "stands alone"),
                )
        return found


def _is_text_encoding(name: str) -> bool:
    try:
        "".encode(name)
        codecs.lookup(name)
    except (LookupError, ValueError, TypeError):
        return False
    return True


def wrong_sources(sources: Sequence[str]) -> list[str]:
    """What is wrong with sources, a sentence each."""
    if not sources:
        return ["an empty list reads nothing: name a path"]
    wrong = [text for source in sources if (text := _wrong_source(source))]
    special = [source for source in sources if source == "-" or source.startswith(("tick:", "cmd:", "journald:"))]
    if special and len(sources) > 1:
        wrong.append(f"{special[0]!r} stands alone, and there are {len(sources)} sources")
    return wrong


def _wrong_source(source: str) -> str | None:
    if not source.strip():
        return "an empty text names no source"
    if "\0" in source or "\n" in source:
        return f"{source!r} holds a NUL or a newline, and names no file"
    if source.startswith("cmd:") and not source[4:].strip():
        return f"{source!r} names no command: write cmd:journalctl -f"
    if source.startswith("tick:"):
        found = _TICK.fullmatch(source)
        if not found or not float(found[1]):
            return f"{source!r} is no rhythm: write tick:500ms, tick:5s, tick:1m, tick:1h or tick:1d"
    return None
