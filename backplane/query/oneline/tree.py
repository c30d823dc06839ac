"""A question of one line as it was read: stages and expressions with their places, nothing looked up yet.

Knows shapes. Does not know which fields, functions or formats there are.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Node:
    """An expression between two places of the text.

    ``kind`` is ``value`` (``value`` is a number, text, bool or None), ``name`` (``value`` is it), ``call`` (``value``
    is the function), ``star``, or an operator as `provider.runner.expressions` calls them.
    """

    kind: str
    start: int
    end: int
    value: object = None
    parts: tuple[Node, ...] = ()
    #: A name in backticks: a field, and never the provider's name.
    quoted: bool = False
    #: A number's unit.
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """An expression and the name that was given to it, or ""."""

    node: Node
    name: str


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage between two places; what it holds depends on its kind."""

    kind: str
    start: int
    end: int
    columns: tuple[Column, ...] = ()
    keys: tuple[Column, ...] = ()
    node: Node | None = None
    #: Names (of parsed fields), or one text.
    names: tuple[str, ...] = ()
    text: str = ""
    numbers: tuple[float, ...] = ()
    flags: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """The whole of it."""

    text: str
    format: str
    format_at: tuple[int, int]
    paths: tuple[str, ...]
    stages: tuple[Stage, ...]
