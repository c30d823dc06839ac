"""What a QUERY that is a text means, and where a source of this machine lies. Shared by Python and the command line.

Knows texts and paths. Does not know what a query is.
"""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path


def is_sql(query: str) -> bool:
    """A QUERY that begins with SELECT is one.

    >>> is_sql("SELECT count(*) FROM nginx"), is_sql("select.py")
    (True, False)
    """
    return re.match(r"[\s(]*select[\s*('\"]", query, re.IGNORECASE) is not None


def is_one_line(query: str) -> bool:
    """A QUERY with white space or a ``|`` is one, unless a file has that name. So is SQL, which means the same."""
    return not os.path.exists(query) and ("|" in query or any(map(str.isspace, query)))


def path_of(query: str | Path) -> str:
    """A QUERY as a text: what is a path in a program looks like one.

    >>> path_of(Path("q.py")), path_of("nginx | count")
    ('./q.py', 'nginx | count')
    """
    text = os.fspath(query)
    return f"./{text}" if isinstance(query, Path) and not text.startswith(("/", "./", "../")) else text


def located(source: str) -> str:
    """A source of this machine, as it is meant from where the user stands."""
    if source == "-" or source.startswith(("tick:", "cmd:", "journald:")):
        return source
    path = Path(source).expanduser().absolute()
    # A file whose name holds * or [ is meant as it is, where there is one.
    return glob.escape(str(path)) if path.exists() else str(path)
