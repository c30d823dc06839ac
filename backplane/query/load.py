"""From a QUERY on the command line to a frozen `Query`, or to what is wrong with it.

Composes this package's files, one step each, in the order in which a query file is understood. Nothing of `filter` and
`map` is executed here; of `reduce` only what it reaches.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from backplane.query import folder, home, params, rules, settings
from backplane.query.library import Found, find
from backplane.query.model import Query, Secret, Value
from backplane.query.problems import Problems
from backplane.query.replay import replayable
from backplane.query.scope import Module, module, span
from backplane.query.slice import Slice, cut
from backplane.query.starting import may_start, modules, parsing
from backplane.wire.errors import QueryError, UsageError


@dataclass(frozen=True, slots=True)
class Examined:
    """What came of reading a query file: ``query`` is None where there are ``errors``."""

    file: str
    query: Query | None
    errors: tuple[UsageError, ...]
    warnings: tuple[str, ...]


def load(query: str, settings: Mapping[str, str] | None = None, sources: Sequence[str] | None = None) -> Query:
    """A query, ready to be asked.

    Args:
        query: a path (with ``/`` or ``.py``) or a name of the library.
        settings: parameters by name, as texts.
        sources: instead of the file's own ``logs``.

    Raises:
        QueryError: the file is wrong; the first that is, in the order of lines.
        UsageError: there is no such query or parameter, or its form is not in this version.
    """
    examined = examine(query, settings or {}, sources)
    if examined.query is None:
        raise examined.errors[0]
    return examined.query


def examine(query: str, settings: Mapping[str, str], sources: Sequence[str] | None) -> Examined:
    """The same, with all that is wrong and not only the first.

    Raises:
        UsageError: there is no such query, or its form is not in this version.
    """
    return examined(find(query), settings, sources)


def examined(found: Found, settings: Mapping[str, str], sources: Sequence[str] | None) -> Examined:
    """The same of a text that has been found already."""
    problems = Problems(found.file)
    try:
        if found.folder:
            made = folder.load(found.file, settings, sources, problems)
        else:
            made = _query(found, settings, sources, problems)
    except QueryError as exc:  # no Python: nothing more can be said
        problems.refuse(exc)
        made = None
    errors = tuple(problems.sorted())
    if made is not None and not errors:
        return Examined(found.file, replace(made, warnings=tuple(problems.warnings)), (), tuple(problems.warnings))
    return Examined(found.file, None, errors, tuple(problems.warnings))


def _query(found: Found, given: Mapping[str, str], sources: Sequence[str] | None, problems: Problems) -> Query | None:
    own = module(found.text, found.file)
    rules.star_imports(own, problems)
    said = settings.read(own, problems)
    values = params.chosen(own, given, problems)
    secret = settings.secret(own, said.secret, {p.name: value for p, value in values.items()}, problems)
    changed = module(_rewritten(own, values, secret, sources), found.file)
    takes_lines = rules.map_takes_lines(changed, problems)
    read = _sources(changed, takes_lines, said.sources, sources, problems)
    if said.format is not None:
        rules.format_has_lines(changed, read, names_columns=bool(said.format.get("header")), problems=problems)
    filters = rules.check_filter(changed, problems)
    shipped = _shipped(changed, said.modules, filters, problems)
    reduction = home.reduction(changed, problems)
    if reduction is None or takes_lines is None or problems.errors:
        return None
    folds = reduction.kind == "aggregates"
    combine = reduction.aggregates if folds and said.combine is not False else None
    if said.combine and not folds:
        problems.warn(
            "`combine` is used for aggregates only in this version: values travel as they are",
            settings.line_of(own, "combine"),
        )
    again, reason = replayable(changed, shipped["map"], read, said.replayable)
    title = (ast.get_docstring(own.tree) or "").strip().partition("\n")[0].strip()
    return Query(
        title=title or found.name,
        name=found.name,
        file=found.file,
        sources=read,
        takes_lines=takes_lines,
        encoding=said.encoding,
        format=said.format,
        filter_source=shipped["filter"].text if filters else None,
        map_source=shipped["map"].text,
        reduction=reduction,
        combine=combine,
        params=MappingProxyType(
            {p.name: Secret(str(value)) if p.name in secret else value for p, value in values.items()}
        ),
        needs=said.needs,
        effects=said.effects,
        replayable=again,
        replayable_reason=reason,
        guard=_guarded(said.needs, read, shipped),
        modules={**modules(said.needs, read, combine=combine), **(parsing(said.format) if said.format else {})},
    )


def _guarded(needs: Sequence[str], sources: Sequence[str], shipped: Mapping[str, Slice]) -> bool:
    commands = any(source.startswith(("cmd:", "journald:")) for source in sources)
    return bool(needs) or commands or any(may_start(part.text) for part in shipped.values())


def _rewritten(
    own: Module,
    values: Mapping[params.Parameter, Value],
    secret: frozenset[str],
    sources: Sequence[str] | None,
) -> str:
    """The text with what was set in the place of its literals.

    Secrets are always written anew, so that they can be found and masked.
    """
    changes = {(p.start, p.end): v for p, v in values.items() if v is not p.value or p.name in secret}
    node = settings.node_of(own, "logs")
    if sources is not None and isinstance(node, (ast.Constant, ast.List, ast.Tuple)):
        # A filter asks about `logs`, and must see what is read. A text stays a text where one source is given.
        one = isinstance(node, ast.Constant) and len(sources) == 1
        changes[span(own.text, node)] = sources[0] if one else list(sources)
    return params.rewritten(own.text, changes) if changes else own.text


def _sources(
    own: Module, takes_lines: bool | None, said: tuple[str, ...] | None, given: Sequence[str] | None, problems: Problems
) -> tuple[str, ...]:
    if takes_lines is False:
        if given is not None:
            problems.refuse(
                UsageError(f"{own.file} has `def map():`, which takes no source: leave FILES and --from out")
            )
        elif said is not None:
            problems.warn("`logs` is not read: `def map():` takes no source", settings.line_of(own, "logs"))
        return ()
    if given is not None:
        for text in settings.wrong_sources(given):
            problems.refuse(UsageError(f"FILES and --from: {text}"))
        return tuple(given)
    if said is None and takes_lines and "logs" not in own.binders:
        line = own.binders["map"][-1].node.lineno
        problems.wrong('`map` takes lines, and nothing says whose: write logs = "/var/log/syslog", or name FILES', line)
    return said or ()


def _shipped(own: Module, modules: frozenset[str], filters: bool, problems: Problems) -> dict[str, Slice]:
    """What travels, each script's part by itself."""
    parts = {}
    for name in ("filter", "map"):
        if name in own.binders and (name == "map" or filters):
            part = parts[name] = cut(own, [name], stop=frozenset(rules.OWN) - {name})
            rules.shadowed_builtins(own, part, problems)
            rules.foreign_imports(part, modules, problems)
            rules.undefined_names(own, part, problems)
    return parts
