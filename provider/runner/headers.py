"""The first line of a file that names its columns.

Knows files and separated formats. Does not know plans. It travels with plans: standard library only, Python 3.6.
"""

import os
from typing import Any, Dict, List, Optional, Tuple

from provider.runner.faults import Failure, Fault
from provider.runner.files import expand, open_log

#: A longer line names no columns.
_MOST_BYTES = 64 << 10


def first_line(path: str) -> Optional[bytes]:
    """A file's first line with its newline; None if there is none (yet), or it cannot be read."""
    try:
        fd = open_log(path)
    except (OSError, ValueError):
        return None
    try:
        data = os.pread(fd, _MOST_BYTES, 0)
    finally:
        os.close(fd)
    end = data.find(b"\n") + 1
    return data[:end] or None


def header_of(sources: List[str], format_data: Dict[str, Any]) -> Tuple[bytes, List[str]]:
    """The line that names the columns of these logs, and the names.

    Raises:
        Failure: no file has one.
    """
    for source in sources:
        for path in expand(source):
            line = first_line(path)
            if line is not None:
                return line, columns(line, format_data)
    raise Failure(Fault("missing", "no file of %s has a first line, which names its columns" % ", ".join(sources)))


def columns(line: bytes, format_data: Dict[str, Any]) -> List[str]:
    """The names in such a line."""
    import csv

    text = line.decode("utf-8", "surrogateescape").rstrip("\r\n").lstrip("\ufeff")
    quote = format_data.get("quote", '"')
    separator = format_data.get("separator", ",")
    if not quote:
        return text.split(separator)
    return next(csv.reader([text], delimiter=separator, quotechar=quote), [])
