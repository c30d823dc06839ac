"""`logreduce _complete SHELL LINE`: what may stand where the cursor is, a line each.

Knows how each shell wants to hear it. It runs at every TAB, so that nothing is imported that this place does not need;
and whatever goes wrong gives no candidates, because a message would stand in the middle of what is being typed. Asks
no coordinator and no host.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Final

from backplane.cli.completion.shell import Typed, for_bash, for_zsh, typed

#: More are no help to anybody, and a shell takes its time with them.
_MOST: Final = 2000
#: bash only lists: what it is given is shown and goes nowhere.
_LISTING: Final = "63"


class Candidate(tuple[str, str, bool]):
    """A whole word, what it is, and whether it may go on (a folder, a stage of a line)."""

    __slots__ = ()

    def __new__(cls, word: str, about: str = "", goes_on: bool = False) -> Candidate:
        return super().__new__(cls, (word, about, goes_on))


def main(argv: list[str]) -> int:
    """Print the answer. Always 0."""
    shell, line, *more = [*argv, "", ""][: max(2, len(argv))]
    try:
        lines = list(answer(shell, line, *more))
    except Exception:  # see the module
        return 0
    # A line's own bytes, whatever the locale.
    os.write(1, "".join(f"{each}\n" for each in lines).encode("utf-8", "surrogateescape"))
    return 0


def answer(shell: str, line: str, comp_type: str = "", breaks: str = "\"'><=;|&(:") -> Iterable[str]:
    """The lines that a shell's script reads.

    Args:
        line: what was typed, up to the cursor.
        comp_type: bash's ``COMP_TYPE``.
        breaks: bash's ``COMP_WORDBREAKS``.
    """
    from backplane.cli.completion.places import candidates

    said = typed(line)
    word = said.words[-1]
    found = [each for each in candidates(list(said.words[1:])) if each[0].startswith(word)][:_MOST]
    if any(goes_on for _, _, goes_on in found):
        yield ":nospace"
    if shell == "bash":
        yield from _bash(found, said, comp_type, breaks)
        return
    for text, about, _ in found:
        text, about = _one_line(text), _one_line(about)
        if shell == "zsh":
            end = _end(text, word)
            yield f"{for_zsh(text, said)}\t{end}  -- {about}" if about else f"{for_zsh(text, said)}\t{end}"
        else:
            yield f"{text}\t{about}" if about else text


def _bash(found: Sequence[tuple[str, str, bool]], said: Typed, comp_type: str, breaks: str) -> Iterable[str]:
    word = said.words[-1]
    if comp_type == _LISTING:
        yield from (_end(_one_line(text), word) for text, _, _ in found)
        return
    for text, _, _ in found:
        yield for_bash(_one_line(text), said, breaks)
    if len(found) == 1 and said.quote and found[0][2]:
        # A single one would close the quote, and the line in it goes on.
        yield for_bash(_one_line(found[0][0]) + " ", said, breaks)


def _end(text: str, word: str) -> str:
    """The part of a candidate that is being typed: of a line or a path the last one."""
    at = max(word.rfind(each) for each in " ,(|/") + 1
    return text[at:] or text


def _one_line(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)
