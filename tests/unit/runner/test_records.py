"""Records of several lines in a reader of the scan child: a break at any moment loses none and counts none twice."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from backplane.query.formats import format_data
from provider.runner.lines import RECORD_S
from provider.runner.pack import unpackb
from provider.runner.reading import Reader
from provider.runner.scanjob import ScanJob, parse
from tests.rigs.plans import body, field, plan

DEADLINE_S = 30.0
pytestmark = pytest.mark.linux


def record(number: int) -> str:
    """Three lines that are one."""
    return f"2015-10-18 18:01:47,978 INFO [main] org.a.B: number {number}\njava.io.IOException: no\n\tat org.a.B.c\n"


@contextmanager
def reading(log: Path, **fields: Any) -> Iterator[Reader]:
    """A reader of a plan that counts records."""
    asked = plan(format=format_data("log4j"), keys=[["level", field("level")]])
    taking, giving = os.pipe()
    job = ScanJob(1, 1, giving, parse(body(asked, [log], **fields)))
    reader = Reader(job)
    reader.jobs[0].reader = reader
    try:
        yield reader
    finally:
        reader.close()
        job.close()
        os.close(taking)


def failed(_job: ScanJob, exc: Exception) -> None:
    raise exc


def counted(reader: Reader) -> int:
    """Records that were folded."""
    return reader.jobs[0].fold.scan.seen.matched


def place(reader: Reader) -> list[list[Any]]:
    """Positions, as a cut at this moment would tell them."""
    reader.collect()
    job = reader.jobs[0]
    return [[source, job.moved.get(source, at)] for source, at in job.at.items()]


def left(log: Path, positions: list[list[Any]]) -> int:
    """Records that another job finds from these positions on."""
    with reading(log, positions=positions, resumed=True, rotated=True) as reader:
        while not reader.over:
            reader.step(None, failed)
        return counted(reader)


def exact_throughout(reader: Reader, log: Path, whole: int, over: Callable[[], bool]) -> None:
    """Steps until something is so; at each step, what was counted and what is left are all."""
    deadline = time.monotonic() + DEADLINE_S
    while not over():
        reader.step(None, failed)
        assert counted(reader) + left(log, place(reader)) == whole, unpackb(place(reader)[0][1])
        assert time.monotonic() < deadline


def test_catching_up_over_generations(tmp_path: Path) -> None:
    """The last record of each generation counts with the way past it."""
    log = tmp_path / "app.log"
    for number, name in enumerate(("app.log.3", "app.log.2", "app.log.1", "app.log")):
        (tmp_path / name).write_text("".join(record(10 * number + each) for each in range(3)))
    with reading(log, follow=True, rotated=True) as reader:
        exact_throughout(reader, log, 12, lambda: counted(reader) == 12)


def test_a_record_that_is_held_while_its_log_is_rotated(tmp_path: Path) -> None:
    """It belongs to the file that it was read of, whatever has its name by then; twice rotated, no time is left."""
    log = tmp_path / "app.log"
    log.write_text(record(1) + record(2))
    with reading(log, follow=True, positions=[[str(log), b""]]) as reader:
        reader.step(None, failed)
        assert counted(reader) == 1
        log.rename(tmp_path / "app.log.2")
        (tmp_path / "app.log.1").write_text(record(3) + record(4))
        log.write_text(record(5) + record(6))
        exact_throughout(reader, log, 6, lambda: counted(reader) == 6)


def test_a_record_that_is_held_while_its_log_is_copied_and_truncated(tmp_path: Path) -> None:
    """It counts once, and what follows is read from its beginning."""
    log = tmp_path / "app.log"
    log.write_text(record(1) + record(2))
    with reading(log, follow=True, positions=[[str(log), b""]]) as reader:
        reader.step(None, failed)
        (tmp_path / "app.log.1").write_text(log.read_text())
        log.write_text(record(3))
        exact_throughout(reader, log, 3, lambda: counted(reader) == 3)


def test_a_record_may_pause(tmp_path: Path) -> None:
    """What is written soon is a part of it."""
    log = tmp_path / "app.log"
    first, *rest = record(1).splitlines(keepends=True)
    log.write_text(first)
    with reading(log, follow=True, positions=[[str(log), b""]]) as reader, closing(log.open("a")) as file:
        begun = time.monotonic()
        reader.step(None, failed)
        file.writelines(rest)
        file.flush()
        if time.monotonic() - begun < RECORD_S:
            exact_throughout(reader, log, 1, lambda: counted(reader) == 1)
