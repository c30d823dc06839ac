"""Names that this machine knows: queries, formats, providers, groups, files.

Knows where they are kept, and reads that only: no coordinator is asked, no program is run, no host is reached.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from backplane.wire import places

#: Of a table or an inventory: more names are of no use at a TAB.
_MOST: Final = 5000
#: Inventories that are made by a program, or may be: none is run here.
_RUN: Final = ("exec:", "ansible:")
_BUSY_S: Final = 0.1

Named = Iterator[tuple[str, str]]


def library() -> Named:
    """Queries of the library, with their first lines."""
    from backplane.query.library import library as kept

    for name, path in kept().items():
        try:
            text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
        except (OSError, ValueError, SyntaxError):
            text = ""
        yield name, text.partition("\n")[0]


def parameters(query: str) -> Named:
    """Parameters of a query file, a folder or a query of the library, with their defaults. Nothing of it is run."""
    from backplane.query.library import find
    from backplane.query.params import SETTINGS, assigned
    from backplane.query.params import parameters as constants
    from backplane.query.scope import module

    found = find(query)
    if found.folder:
        import tomllib

        said = tomllib.loads((Path(found.file) / "query.toml").read_text("utf-8"))
        secret = said.get("secret", ())
        values = {name: value for name, value in said.items() if name not in SETTINGS and type(value) is not dict}
    else:
        own = module(found.text, found.file)
        values = {name: each.value for name, each in constants(own).items()}
        secret = ()
        for name, value in (assigned(statement.node) for statement in own.statements):
            if name == "secret" and value is not None:
                secret = ast.literal_eval(value)
    for name, value in values.items():
        yield name, "a secret: @FILE" if name in secret else repr(value)


def formats() -> Named:
    """Formats by all of their names."""
    from backplane.query.formats import ALIASES
    from backplane.query.formats import formats as kept

    found = kept()
    for name in sorted([*found, *ALIASES]):
        yield name, f"the same as {ALIASES[name]}" if name in ALIASES and name not in found else "format"


def fields(format_name: str) -> Named:
    """The fields of a format; none of one that there is not."""
    from backplane.query.formats import format_data
    from provider.runner.formats.form import format_of

    for name, kind in format_of(format_data(format_name)).types.items():
        if name != "*":
            yield name, kind


def queries(environ: Mapping[str, str] = os.environ) -> Named:
    """Named queries of this user."""
    root = places.state(environ) / "queries"
    try:
        names = sorted(entry.name for entry in os.scandir(root) if not entry.name.startswith("."))
    except OSError:
        return
    for name in names:
        if (root / name / "state.db").exists():
            yield name, "named query"


def providers(inventories: Sequence[str], environ: Mapping[str, str] = os.environ) -> Named:
    """Providers of these inventories, or of the table where there are none, with their labels."""
    for name, labels in _known(inventories, environ):
        yield name, " ".join(f"{key}={value}" for key, value in sorted(labels.items()))


def groups(inventories: Sequence[str], environ: Mapping[str, str] = os.environ) -> Named:
    """Groups that they are in."""
    found: dict[str, int] = {}
    for _, labels in _known(inventories, environ):
        for group in {labels.get("group", ""), *labels.get("groups", "").split(",")} - {""}:
            found[group] = found.get(group, 0) + 1
    for group, count in sorted(found.items()):
        yield group, f"{count} provider{'s' * (count != 1)}"


def labels(inventories: Sequence[str], environ: Mapping[str, str] = os.environ) -> Named:
    """KEY=VALUE of their labels."""
    found = {f"{key}={value}" for _, held in _known(inventories, environ) for key, value in held.items()}
    for text in sorted(found):
        yield text, "label"


def _known(inventories: Sequence[str], environ: Mapping[str, str]) -> list[tuple[str, Mapping[str, str]]]:
    if not inventories:
        return _of_table(environ)
    from coordinator.inventory.reading import read

    found: list[tuple[str, Mapping[str, str]]] = []
    for source in inventories:
        if not _is_run(source):
            found += [(each.name, each.labels) for each in read(source)]
    return found[:_MOST]


def _is_run(source: str) -> bool:
    """Reading it would start a program."""
    if source.startswith(_RUN):
        return True
    path = os.path.expanduser(source)
    return os.path.isdir(path) or (os.path.isfile(path) and os.access(path, os.X_OK)) or _is_ansibles(path)


def _is_ansibles(path: str) -> bool:
    from coordinator.inventory import reading

    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        data = file.read(1 << 16)
    reader: Callable[..., object] = reading.kind(Path(path).name, data)
    return reader is reading._ansible_text


def _of_table(environ: Mapping[str, str]) -> list[tuple[str, Mapping[str, str]]]:
    import json
    import sqlite3

    path = _table(environ)
    if not os.path.exists(path):
        return []
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=_BUSY_S)
    try:
        rows = connection.execute("SELECT name, labels FROM providers ORDER BY name LIMIT ?", (_MOST,)).fetchall()
    finally:
        connection.close()
    return [(name, json.loads(held)) for name, held in rows]


def _table(environ: Mapping[str, str]) -> str:
    """The file of this user's table, as a coordinator of this user's finds it."""
    try:
        settings = (places.config(environ) / "coordinator.toml").read_text("utf-8")
    except OSError:
        settings = ""
    named = environ.get("LOGREDUCE_TABLE")
    if settings and not named:
        import tomllib

        named = tomllib.loads(settings).get("table")
    return named or str(places.state(environ) / "providers.sqlite")


def files(word: str) -> Iterator[str]:
    """Paths that begin so; a folder ends with a slash."""
    folder, slash, begun = word.rpartition("/")
    shown = folder + slash
    try:
        entries = sorted(os.scandir(os.path.expanduser(shown) or "."), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(begun) and (begun or not entry.name.startswith(".")):
            yield f"{shown}{entry.name}{'/' * entry.is_dir()}"
