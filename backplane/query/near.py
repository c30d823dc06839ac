"""Near names, for messages about a name that does not exist. Knows text only."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str], form: str = "{}") -> str:
    """The end of a sentence that suggests what was meant, in this form, or nothing.

    >>> did_you_mean("flor", ["floor", "logs"])
    "; did you mean 'floor'?"
    >>> did_you_mean("eror", ["errors"], "./{}.py")
    "; did you mean './errors.py'?"
    >>> did_you_mean("flor", ["floor", "floor"])
    "; did you mean 'floor'?"
    >>> did_you_mean("x", ["floor"])
    ''
    """
    close = difflib.get_close_matches(name, sorted(set(known)), n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(form.format(one)) for one in close)}?" if close else ""


def listed(names: Iterable[str]) -> str:
    """Names for a sentence, sorted.

    >>> listed(["sum", "count"])
    'count, sum'
    """
    return ", ".join(sorted(names))
