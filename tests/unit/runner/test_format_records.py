"""Lines as records of a format: parsed as a plan parses them, and as exact as lines are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backplane.query.formats import format_data
from provider.runner.cuts import Cuts
from provider.runner.formats.form import format_of
from provider.runner.host import Provider
from provider.runner.lines import Block, Handout, Lines, Source
from provider.runner.records import Records, parser
from provider.runner.text import splitter
from tests.rigs.quiet import Quiet

ACCESS = b'1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 5 "-" "x"'
#: Lines of a format, the last of each is none.
LINES = {
    "combined": [ACCESS, ACCESS.replace(b"200", b"404"), b"what is this"],
    "json": [b'{"status": 503, "took": null}', b'{"a": "b"}', b"[1]"],
    "logfmt": [b'level=info msg="a b" n=3', b"level=warn", b"no pair"],
    "tsv": [b"1\t/a", b"2\t/b", b"3"],
    "raw": [b"one", b"", b"\xff"],
}


class Given(Source):
    """Blocks out of a list; counts what was taken."""

    positioned = True

    def __init__(self, blocks: list[bytes]) -> None:
        self.given = blocks
        self.offset = 0

    def blocks(self) -> Iterator[Block | None]:
        for data in self.given:
            yield Block("given", splitter(None)(data), data, self._take)

    def _take(self, size: int) -> None:
        self.offset += size


def data_of(name: str) -> dict[str, Any]:
    """A format's data; of tsv with its columns."""
    return {**format_data(name), **({"columns": ["n", "path"], "header": False} if name == "tsv" else {})}


@pytest.mark.parametrize("name", sorted(LINES))
def test_a_record_has_what_a_plan_reads(name: str) -> None:
    """Every field that the format names has the value that it has in a plan; what does not parse there, does not."""
    form = format_of(data_of(name))
    parse = parser(form)
    for line in LINES[name]:
        # Of these a plan reads what it asks for.
        wanted, found = form.parse(line, ["status", "took", "a"] if name in ("json", "logfmt") else None), parse(line)
        assert (wanted is None) == (found is None)
        if wanted is not None and found is not None:
            assert {field: found.get(field) for field in wanted} == wanted
    assert parse(LINES[name][0] + b"\r") == parse(LINES[name][0])


def test_records_of_open_formats_are_whole() -> None:
    """What the format does not name is there too: objects with what is in them, pairs as texts."""
    assert parser(format_of(format_data("json")))(b'{"a": {"b": [1, null]}, "c": "d"}') == {
        "a": {"b": [1, None]},
        "c": "d",
        "line": '{"a": {"b": [1, null]}, "c": "d"}',
    }
    found = parser(format_of(format_data("logfmt")))(b'level=info odd="x y"')
    assert found is not None
    assert (found["level"], found["odd"]) == ("info", "x y")


def test_time_is_event_time() -> None:
    """By that name, whatever the format calls its field."""
    found = parser(format_of(format_data("journald")))(b'{"__REALTIME_TIMESTAMP": "1500000000000000", "MESSAGE": "m"}')
    assert found is not None
    assert (found["time"], found["MESSAGE"]) == (1_500_000_000.0, "m")


@given(st.data(), st.sampled_from(["combined", "json", "tsv"]))
def test_positions_are_exact_at_any_record(data: st.DataObject, name: str) -> None:
    """Wherever a map stops, the lines of the records that it took are taken and those of the next are not."""
    lines = data.draw(st.lists(st.sampled_from(LINES[name]), max_size=12))
    size = data.draw(st.integers(1, 5))
    blocks = [b"".join(line + b"\n" for line in lines[at : at + size]) for at in range(0, len(lines), size)]
    good = [line for line in lines if line != LINES[name][-1]]
    stop = data.draw(st.integers(0, len(good)))
    source = Given(blocks)
    records = Records(source, data_of(name), [])
    handout = Handout(records, Cuts(Quiet(), None, None, 60.0))
    iterator = Lines(handout, Provider("p", {}))
    parse = parser(format_of(data_of(name)))
    found = [next(iterator) for _ in range(stop)]
    handout.settle()
    if stop:
        taken = b"".join(blocks)[: source.offset].splitlines()
        assert [line for line in taken if line != LINES[name][-1]] == good[:stop]
        assert records.parse_errors == len(taken) - stop
    found += list(iterator)
    assert found == [parse(line) for line in good]
    assert source.offset == sum(map(len, blocks))
    assert records.parse_errors == len(lines) - len(good)


def test_columns_that_a_file_names(tmp_path: Path) -> None:
    """The first line of a file is no record."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"n,path\n1,/a\n")
    data = path.read_bytes()

    class OfFile(Given):
        def blocks(self) -> Iterator[Block | None]:
            yield Block(str(path), splitter(None)(data), data, self._take)

    source = OfFile([])
    handout = Handout(Records(source, format_data("csv"), [str(path)]), Cuts(Quiet(), None, None, 60.0))
    assert [record["path"] for record in Lines(handout, Provider("p", {}))] == ["/a"]
    assert source.offset == len(data)
