"""An answer as a Parquet file: its types, its coverage, and where it is refused."""

from __future__ import annotations

import importlib.util
import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from backplane.client.outputs import parquet
from backplane.client.outputs.choose import make
from backplane.reduce.coverage import coverage
from backplane.reduce.rows import Rows
from backplane.reduce.snapshot import Snapshot
from backplane.wire.errors import UsageError


def snapshot(columns: tuple[str, ...], *rows: tuple[Any, ...], final: bool = True) -> Snapshot:
    found = coverage({}, endless=False, final=final, inexact=[], late={})
    return Snapshot("q", "id", 1, final, 0.0, Rows(columns, rows), found)


def test_one_sentence_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named before anything is asked."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"needs pyarrow: `\S+ -m pip install pyarrow` brings it"):
        make("parquet", io.StringIO())


@pytest.mark.parametrize(
    ("name", "isatty", "says"),
    [
        ("parquet", True, "nothing for a terminal"),
        ("parquet=", False, "names no file"),
        ("parquet=/", False, "names no file"),
        ("parquet=/nosuch/folder/x", False, "is no folder"),
    ],
)
def test_what_cannot_be_written_is_refused_at_once(
    name: str, isatty: bool, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal takes no file, and a file needs a folder."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    with pytest.raises(UsageError, match=says):
        make(name, io.StringIO(), isatty=isatty)


def test_a_file_is_there_once_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing before the final snapshot; what cannot be written is one sentence, and leaves what was there."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    monkeypatch.setattr(parquet, "written", lambda _: b"new")
    file = tmp_path / "answer.parquet"
    output = make(f"parquet={file}", io.StringIO())
    output.show(snapshot(("a",), final=False))
    assert list(tmp_path.iterdir()) == []
    output.show(snapshot(("a",)))
    assert list(tmp_path.iterdir()) == [file]
    assert file.read_bytes() == b"new"
    file.unlink()
    file.mkdir()
    with pytest.raises(UsageError, match=r"answer.parquet cannot be written: "):
        output.show(snapshot(("a",)))
    assert list(tmp_path.iterdir()) == [file]


def test_columns_have_one_type() -> None:
    """Numbers stay numbers, windows become moments, undecodable text bytes, and what is mixed or nested text."""
    column = parquet._column
    assert column("a", (1, 2.5, None)) == [1.0, 2.5, None]
    assert column("a", (1, None)) == [1, None]
    assert column("a", (1 << 70, 1)) == [str(1 << 70), "1"]
    assert column("a", ("é", None)) == ["é", None]
    assert column("a", ("caf\udce9", "b", None)) == [b"caf\xe9", b"b", None]
    assert column("a", (1, "b", True)) == ["1", "b", "true"]
    assert column("a", ([1, "a"], {"b": None})) == ['[1, "a"]', '{"b": null}']
    (begin,) = column("window", ([1_795_165_200.0, 1_795_165_260.0],))
    assert begin.isoformat() == "2026-11-20T09:00:00+00:00"


def test_it_is_read_back(tmp_path: Path) -> None:
    """pyarrow reads rows, types and coverage, of a file and of what went to a pipe; before the end there is nothing."""
    arrow: Any = pytest.importorskip("pyarrow.parquet", reason="pyarrow is an extra, and not in this environment")
    file = tmp_path / "answer.parquet"
    output = make(f"parquet={file}", io.StringIO())
    rows = (("a", 1, 0.5, b"\xff"), (None, 2, 1.0, None))
    output.show(snapshot(("key", "count", "mean", "raw"), *rows, final=False))
    assert list(tmp_path.iterdir()) == []
    output.show(snapshot(("key", "count", "mean", "raw"), *rows))
    table = arrow.read_table(file)
    assert [tuple(row.values()) for row in table.to_pylist()] == list(rows)
    assert [str(each) for each in table.schema.types] == ["string", "int64", "double", "binary"]
    assert json.loads(table.schema.metadata[b"logreduce"])["coverage"]["targets"] == 0
    assert list(tmp_path.iterdir()) == [file]
    piped = io.TextIOWrapper(io.BytesIO())
    make("parquet", piped).show(snapshot(("key", "count"), ("a", 1)))
    assert arrow.read_table(io.BytesIO(piped.buffer.getvalue())).to_pylist() == [{"key": "a", "count": 1}]


def test_times_have_a_type(tmp_path: Path) -> None:
    """A time is one to the microsecond, a column of nulls as well; beside a number that is none both are texts."""
    arrow: Any = pytest.importorskip("pyarrow.parquet", reason="pyarrow is an extra, and not in this environment")
    at = datetime(2015, 5, 17, 10, 5, 3, 250001, UTC)
    names = ("at", "never", "odd", "several")
    found = snapshot(names, (at, None, at, [at]), (None, None, 1e300, None))
    kinds = (("at", "time"), ("never", "time"), ("odd", "time"), ("several", "times"))
    file = tmp_path / "answer.parquet"
    make(f"parquet={file}", io.StringIO()).show(replace(found, table=found.table._replace(kinds=kinds)))
    table = arrow.read_table(file)
    assert [str(each) for each in table.schema.types] == 2 * ["timestamp[us, tz=UTC]"] + 2 * ["string"]
    assert table.to_pylist() == [
        {"at": at, "never": None, "odd": "2015-05-17T10:05:03.250001Z", "several": '["2015-05-17T10:05:03.250001Z"]'},
        {"at": None, "never": None, "odd": "1e+300", "several": None},
    ]


def test_an_answer_without_rows_is_a_table(tmp_path: Path) -> None:
    """Its columns are there."""
    arrow: Any = pytest.importorskip("pyarrow.parquet", reason="pyarrow is an extra, and not in this environment")
    file = tmp_path / "x"
    make(f"parquet={file}", io.StringIO()).show(snapshot(("key", "count")))
    table = arrow.read_table(file)
    assert (table.column_names, table.num_rows) == (["key", "count"], 0)
