"""Writing what may hold any bytes to a text stream.

Knows text streams. A log line whose bytes are no UTF-8 travels as text with surrogates, which a strict stream refuses
to write; to a file or a pipe its own bytes are what a reader wants.
"""

from __future__ import annotations

from typing import TextIO

from backplane.reduce.snapshot import octets


def write(out: TextIO, text: str) -> None:
    """Write text, undecodable bytes as themselves where the stream has bytes underneath.

    Raises:
        BrokenPipeError: nobody reads any more.
    """
    try:
        out.write(text)
    except UnicodeEncodeError:
        out.flush()
        out.buffer.write(octets(text))
        out.buffer.flush()
