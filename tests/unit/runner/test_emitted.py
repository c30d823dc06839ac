"""What a line of a program's output means."""

from __future__ import annotations

import pytest

from provider.runner.emitted import emitted
from provider.runner.pack import packb


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("", ""),
        ("0", 0),
        ("-12", -12),
        ("007", "007"),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("true", True),
        ("null", None),
        ("truth", "truth"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", "18446744073709551616"),
        ("9" * 5000, "9" * 5000),
        ("[" * 100_000, "[" * 100_000),
        ('{"a": [1, null]}', {"a": [1, None]}),
        ('{"a":\t1}', {"a": 1}),
        ('["a",\t1]', ["a", 1]),
        ("{not json", "{not json"),
        ("k\t1", ("k", 1)),
        ("200\tx\ty", ("200", "x\ty")),
        ("\t1", ("", 1)),
        ("k\t", ("k", "")),
        ("\udcff\t\udcfe", ("\udcff", "\udcfe")),
        ("12\r", 12),
    ],
)
def test_a_line_is_json_or_text(line: str, value: object) -> None:
    """Whatever is no JSON that can travel is text as it is, and never an error; a key is always text."""
    found = emitted(line)
    assert (found, type(found)) == (value, type(value))
    packb(found)
