"""What a place of the command line takes: a verb, an option, what an option takes, or an operand.

Knows `words.json`, which is made from the verbs' own parsers (``make reference``): importing a verb to ask it for its
options would take longer than a TAB may.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from backplane.cli.completion import names
from backplane.cli.completion.answer import Candidate

WORDS: Final = Path(__file__).with_name("words.json")
#: What options and operands take, by what their help calls it.
_OF_FILES: Final = frozenset(("FILE", "PATH", "DIR", "SOURCE", "FILES"))
_ASKING: Final = frozenset(("QUERY", "TEXT", "SQL"))
_OF_NAMED: Final = frozenset(("attach", "cancel", "rm"))
_KEYS: Final = ("new", "ls", "allow", "revoke")


def candidates(words: list[str]) -> list[Candidate]:
    """All that may stand in the place of the last of these words, which come after the program's name.

    A superset: whoever asks keeps those that begin with the word.
    """
    table: dict[str, Any] = json.loads(WORDS.read_text("utf-8"))
    *before, word = words
    if not before:
        return [Candidate(name, verb["help"]) for name, verb in table.items()]
    if before == ["help"]:
        return [Candidate(name, verb["help"]) for name, verb in table.items()]
    verb = table.get(before[0])
    return list(_of_verb(before[0], verb, before[1:], word)) if verb else []


def _of_verb(name: str, verb: dict[str, Any], before: list[str], word: str) -> Iterator[Candidate]:
    options: dict[str, dict[str, Any]] = verb["options"]
    flag, operands, inventories = _read(options, before)
    if flag is not None:
        yield from _given(flag, options[flag], word, operands, inventories)
        return
    if word.startswith("--") and "=" in word:
        long, _, value = word.partition("=")
        for each, about, goes_on in _given(long, options.get(long, {}), value, operands, inventories):
            yield Candidate(f"{long}={each}", about, goes_on)
        return
    if word.startswith("-") and word != "-":
        for each, option in options.items():
            if each.startswith("--") or not word.startswith("--"):
                yield Candidate(each, option["help"])
        return
    yield from _operand(name, verb["operands"], operands, word, inventories)


def _read(options: dict[str, dict[str, Any]], before: list[str]) -> tuple[str | None, list[str], list[str]]:
    """The option whose value is missing, the operands, and the inventories that are named."""
    flag: str | None = None
    operands: list[str] = []
    inventories: list[str] = []
    for word in before:
        if flag is not None:
            if flag in ("-i", "--inventory"):
                inventories.append(word)
            flag = None
        elif word in options:
            flag = word if options[word]["takes"] else None
        elif word.startswith("--inventory="):
            inventories.append(word.partition("=")[2])
        elif not word.startswith("-") or word == "-":
            operands.append(word)
    return flag, operands, inventories


def _given(
    flag: str, option: dict[str, Any], word: str, operands: list[str], inventories: list[str]
) -> Iterator[Candidate]:
    """What an option takes: a parameter is one of the query that stands before it."""
    if flag == "--set" and operands:
        if "=" not in word:
            for name, about in names.parameters(operands[0]):
                yield Candidate(f"{name}=", about, True)
        return
    yield from _taken(option, word, inventories)


def _operand(
    name: str, kinds: list[dict[str, Any]], before: list[str], word: str, inventories: list[str]
) -> Iterator[Candidate]:
    if name == "coordinator":
        yield from _words(_KEYS if before == ["keys"] else () if before else ("keys",))
        return
    if not kinds:
        return
    kind = kinds[min(len(before), len(kinds) - 1)]
    if len(before) >= len(kinds) and not kind["several"]:
        return
    if name == "providers" and before[:1] == ["import"]:
        kind = {"takes": "FILE"}
    if name in _OF_NAMED:
        yield from (Candidate(*each) for each in names.queries())
    elif kind["takes"] in _ASKING or name == "check":
        yield from _query(word, in_sql=name == "sql")
    else:
        yield from _taken(kind, word, inventories)


def _query(word: str, *, in_sql: bool) -> Iterator[Candidate]:
    from backplane.cli.completion import lines

    if in_sql or word[:7].lower().strip() == "select":
        yield from lines.sql(word)
        return
    if any(map(str.isspace, word)) or "|" in word:
        yield from lines.one_line(word)
        return
    if "/" not in word:
        yield from (Candidate(*each) for each in names.library())
        # A line begins with a format, and goes on.
        yield from (Candidate(f"{each} ", about, True) for each, about in names.formats())
    yield from _files(word)


def _taken(option: dict[str, Any], word: str, inventories: list[str]) -> Iterator[Candidate]:
    takes = option.get("takes")
    if option.get("choices"):
        yield from _words(option["choices"])
        if "parquet" in option["choices"] and word.startswith("parquet="):
            for path, about, goes_on in _files(word.partition("=")[2]):
                yield Candidate(f"parquet={path}", about, goes_on)
    elif takes in ("NODES", "NAMES"):
        yield from _nodes(word, inventories)
    elif takes == "GROUP":
        yield from (Candidate(*each) for each in names.groups(inventories))
    elif takes == "SELECTOR":
        yield from (Candidate(*each) for each in names.labels(inventories))
    elif takes in _OF_FILES:
        yield from _files(word)


def _nodes(word: str, inventories: list[str]) -> Iterator[Candidate]:
    """Names, and groups as @group; each after a comma too."""
    before = word[: word.rfind(",") + 1]
    for name, about in names.providers(inventories):
        yield Candidate(before + name, about)
    for group, about in names.groups(inventories):
        yield Candidate(f"{before}@{group}", about)


def _files(word: str) -> Iterator[Candidate]:
    for path in names.files(word):
        yield Candidate(path, "", path.endswith("/"))


def _words(words: Any) -> Iterator[Candidate]:
    for each in words:
        yield Candidate(each)
