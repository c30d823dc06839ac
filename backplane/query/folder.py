"""A query that is a folder: `filter`, `map` and `reduce` in any language, each a file, and `query.toml` for the rest.

Knows a folder's files. What is in one that is Python is understood as it is in a query file; the others are texts that
travel to their interpreter. Nothing of `filter` and `map` is executed here.

`query.toml` becomes a module of assignments, each on its own line, so that all that is known of a query file's
constants (what they may be, `--set`, near names, lines in messages) holds for it too.
"""

from __future__ import annotations

import ast
import keyword
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from backplane.query import home, params, programs, rules, settings
from backplane.query.formats import line_of
from backplane.query.model import Query, Reduction, Secret, Value
from backplane.query.near import did_you_mean
from backplane.query.problems import Problems
from backplane.query.replay import replayable
from backplane.query.scope import Module, module, span
from backplane.query.slice import Slice, cut
from backplane.query.starting import may_start, modules
from backplane.wire.errors import QueryError, UsageError

CONSTANTS: Final = "query.toml"
_NAMES: Final = ("filter", "map", "reduce")
#: What a folder without a map does: its lines are its values.
_LINES: Final = "def map(lines):\n    for line in lines:\n        yield line\n"
_NO_REPLAY: Final = "its map is a program, and what it prints cannot be tied to the lines that it read"


@dataclass(frozen=True, slots=True)
class _Script:
    """What travels of one file; ``part`` is None for a program."""

    text: str
    argv: tuple[str, ...] = ()
    part: Slice | None = None
    own: Module | None = None


def load(folder: str, given: Mapping[str, str], sources: Sequence[str] | None, problems: Problems) -> Query | None:
    """The query of a folder; None where something is wrong, which goes to ``problems``."""
    reader = _Reader(Path(folder), problems)
    own, title = reader.constants()
    said = settings.read(own, reader.said)
    values = {p.name: v for p, v in params.chosen(own, given, reader.said).items()}
    secret = settings.secret(own, said.secret, values, reader.said)
    if said.format is not None:
        reader.said.wrong(
            "`format` is for a query in one Python file: here `map` takes lines", settings.line_of(own, "format")
        )
    read = said.sources if sources is None else tuple(sources)
    for text in settings.wrong_sources(sources) if sources is not None else ():
        problems.refuse(UsageError(f"FILES and --from: {text}"))
    constants: dict[str, Value] = dict(values)
    if read is not None:
        constants["logs"] = read[0] if len(read) == 1 else list(read)
    filtering = reader.script("filter", constants, said.modules)
    mapping = reader.script("map", constants, said.modules) or reader.lines()
    takes_lines = reader.takes_lines(mapping, read, given=sources is not None)
    reduction = reader.reduction(own)
    reader.said.into(problems)
    if problems.errors or reduction is None:
        return None
    again, reason = False, _NO_REPLAY
    if mapping.part is not None and mapping.own is not None:
        again, reason = replayable(mapping.own, mapping.part, read or (), said.replayable)
    folds = reduction.kind == "aggregates"
    combine = reduction.aggregates if folds and said.combine is not False else None
    scripts = {"filter": filtering, "map": mapping}
    programs = any(each and each.argv for each in scripts.values())
    return Query(
        title=title or Path(folder).resolve().name,
        name=Path(folder).resolve().name,
        file=folder.rstrip("/"),
        sources=(read or ()) if takes_lines else (),
        takes_lines=takes_lines,
        encoding=said.encoding,
        filter_source=filtering.text if filtering else None,
        map_source=mapping.text,
        programs=MappingProxyType({name: each.argv for name, each in scripts.items() if each and each.argv}),
        environ=MappingProxyType({name: _variable(value) for name, value in values.items()}),
        reduction=reduction,
        combine=combine,
        params=MappingProxyType({n: Secret(str(v)) if n in secret else v for n, v in values.items()}),
        needs=said.needs,
        effects=said.effects,
        replayable=again,
        replayable_reason=reason,
        modules=modules(said.needs, read or (), programs=programs, combine=combine),
        guard=bool(said.needs) or any(each and (each.argv or may_start(each.text)) for each in scripts.values()),
    )


def _variable(value: Value) -> str:
    """A parameter as a variable of the environment: a list has a line for each item."""
    if isinstance(value, list):
        return "\n".join(map(_variable, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


class _Reader:
    def __init__(self, folder: Path, problems: Problems) -> None:
        self._folder = folder
        self._problems = problems
        #: What is wrong with its constants.
        self.said = Problems(str(folder / CONSTANTS))
        if not any((folder / name).exists() or (folder / f"{name}.py").exists() for name in _NAMES):
            near = [f"; did you mean {p.name} to be {n}?" for p in _files(folder) for n in _NAMES if p.stem == n]
            problems.wrong(f"a folder with neither `filter`, `map` nor `reduce` asks nothing{''.join(near[:1])}")

    def constants(self) -> tuple[Module, str]:
        """What `query.toml` says as a module, and the title."""
        path = self._folder / CONSTANTS
        said: dict[str, object] = {}
        text = ""
        if path.exists():
            try:
                text = programs.text_of(path)
                said = tomllib.loads(text)
            except QueryError as exc:
                self._problems.refuse(exc)
            except tomllib.TOMLDecodeError as exc:
                self._problems.refuse(QueryError(f"is no TOML: {exc}", str(path), line_of(exc, text)))
            except RecursionError:
                self._problems.refuse(QueryError("is no TOML: it nests too deep", str(path)))
        title = said.pop("title", "")
        lines = [""] * (text.count("\n") + 1)
        for name, value in said.items():
            line = _line_of(text, name)
            wrong = _wrong_constant(name, value)
            if wrong:
                self._problems.refuse(QueryError(wrong, str(path), line))
            else:
                lines[line - 1] += f"{name} = {value!a}; "
        if not isinstance(title, str):
            self._problems.refuse(QueryError(f"`title` is a text, not {title!r}", str(path), _line_of(text, "title")))
            title = ""
        return module("\n".join(lines) + "\n", str(path)), title

    def _file(self, name: str) -> Path | None:
        """The file of one of the three."""
        found = [path for path in (self._folder / name, self._folder / f"{name}.py") if path.is_file()]
        if len(found) > 1:
            self._problems.wrong(f"there are both `{name}` and `{name}.py`: leave one out")
        return found[0] if found else None

    def script(self, name: str, constants: Mapping[str, Value], modules: frozenset[str]) -> _Script | None:
        """What travels as ``filter`` or ``map``; None where there is none, or it is wrong."""
        path = self._file(name)
        if path is None:
            return None
        try:
            if path.suffix != ".py":
                return _Script(*programs.travelling(path))
            own = module(_with(module(programs.text_of(path), str(path)), constants), str(path))
        except QueryError as exc:
            self._problems.refuse(exc)
            return None
        return self._python(own, name, modules)

    def lines(self) -> _Script:
        """The map of a folder that has none."""
        own = module(_LINES, str(self._folder / "map.py"))
        part = cut(own, ["map"])
        return _Script(_LINES, part=part, own=own)

    def _python(self, own: Module, name: str, modules: frozenset[str]) -> _Script | None:
        problems = Problems(own.file)
        rules.star_imports(own, problems)
        good = rules.check_filter(own, problems) if name == "filter" else rules.map_takes_lines(own, problems)
        if name == "filter" and not good:
            problems.wrong("there is no `filter` in it: write `def filter(provider):`")
        script = None
        if not problems.errors:
            part = cut(own, [name], stop=frozenset(rules.OWN) - {name})
            rules.shadowed_builtins(own, part, problems)
            rules.foreign_imports(part, modules, problems)
            rules.undefined_names(own, part, problems)
            script = _Script(part.text, part=part, own=own)
        problems.into(self._problems)
        return script

    def takes_lines(self, mapping: _Script, read: tuple[str, ...] | None, *, given: bool) -> bool:
        """Whether the map reads a source."""
        if mapping.own is None:
            return read is not None
        lines = rules.map_takes_lines(mapping.own, Problems(""))
        if lines and read is None:
            self._problems.wrong(f'`map` takes lines, and nothing says whose: write logs = "..." in {CONSTANTS}')
        if lines is False and given:
            self._problems.refuse(UsageError("its `def map():` takes no source: leave FILES and --from out"))
        return bool(lines)

    def reduction(self, own: Module) -> Reduction | None:
        """What becomes of the values: the file `reduce`, or what `query.toml` says."""
        path = self._file("reduce")
        if path is None:
            return home.reduction(own, self.said)
        if "reduce" in own.binders:
            self._problems.wrong(f"there is a file {path.name}, and {CONSTANTS} has `reduce` too: leave one out")
            return None
        if path.suffix != ".py":
            return home.program(path, None, self._problems)
        problems = Problems(str(path))
        try:
            found = home.reduction(module(programs.text_of(path), str(path)), problems)
        except QueryError as exc:
            problems.refuse(exc)
            found = None
        if found is home.STREAM:
            problems.wrong("there is no reduce in it: write `def reduce(a, b):` or `class Reduce:`")
        problems.into(self._problems)
        return found


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _line_of(text: str, name: str) -> int:
    for number, line in enumerate(text.split("\n"), 1):
        if line.partition("=")[0].strip().strip("\"'") == name:
            return number
    return 1


def _wrong_constant(name: str, value: object) -> str | None:
    if not name.isidentifier() or keyword.iskeyword(name) or name != name.lower() or name in ("map", "filter"):
        near = did_you_mean(name.lower(), params.SETTINGS)
        return f"{name!r} cannot be the name of a constant: it is one word in small letters{near}"
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, (bool, int, float, str)) for item in items):
        return f"`{name}` is a number, a text, true or false, or a list of these"
    try:
        ast.literal_eval(ascii(value))
    except ValueError:
        return f"`{name}` is no finite number"
    return None


def _with(own: Module, constants: Mapping[str, Value]) -> str:
    """A Python file with the folder's constants: in the place of its own, or behind its last line."""
    inside = {}
    behind = ""
    for name, value in constants.items():
        node = settings.node_of(own, name) if name in own.binders else None
        if node is not None:
            inside[span(own.text, node)] = value
        elif name not in own.binders:
            behind += f"{name} = {value!a}\n"
    text = params.rewritten(own.text, inside)
    return text if not behind else f"{text.rstrip()}\n{behind}"
