"""What every kind of format can do: parse a line, and perhaps say how many of them are read at once.

Knows no kind. It travels: standard library only, Python 3.6.
"""

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

#: A line's needed fields as they stand in it (b"" for none), or None if it does not parse.
Parse = Callable[[bytes], Optional[Tuple[Any, ...]]]


class FormatError(ValueError):
    """A format that is none. ``str()`` is one sentence.

    Args:
        about: the word of it that is wrong, or whose value is; "" for the whole.
        known: what might have been meant by that word.
    """

    def __init__(self, text: str, about: str = "", known: Sequence[str] = ()) -> None:
        ValueError.__init__(self, text)
        self.about = about
        self.known = known


class Bulk(NamedTuple):
    """How `re.findall` reads whole blocks.

    A match is meant to be one line with its newline. In a block that holds none of ``guards``, the pattern and the
    parser agree about every line that one match covers; whoever uses it counts, because some patterns may run over
    a newline: as many matches as newlines are one match a line.
    """

    pattern: str
    guards: Tuple[bytes, ...]
    #: Fields in the order of the captures.
    order: Tuple[str, ...]
    #: Those of which it captures the beginning only (see `Layout.bulk`).
    cut: "frozenset[str]" = frozenset()


class Layout:
    """One kind of format. `parser` is the meaning; `bulk` has to agree with it."""

    #: Its values are Python's already, and not bytes.
    typed = False
    #: Fields without which a line does not parse unless they are of their type.
    checked: "frozenset[str]" = frozenset()

    @property
    def names(self) -> List[str]:
        """The fields that it is known to have, in order."""
        raise NotImplementedError

    def bulk(self, needed: Sequence[str], depths: Dict[str, int]) -> Optional[Bulk]:
        """For blocks; None where only lines are read.

        Args:
            depths: fields of which only `expressions.prefix` to this depth is asked. A pattern may capture just that,
                and then says so.
        """
        return None

    def parser(self, needed: Sequence[str]) -> Parse:
        """For one line, without its newline."""
        raise NotImplementedError

    def literal_before(self, name: str) -> Optional[str]:
        """The text that stands before a field in every line; None where there is none."""
        return None
