"""A question that is kept: the same one again, or another, and in what."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from backplane.client.store import asked
from backplane.client.store.asked import Asked, Text, texts
from backplane.wire import codec
from backplane.wire.errors import UsageError

ASKED = Asked(
    words={"query": "q.py", "files": ["/x"], "follow": True, "since": ["10m", 5.0], "for_s": None, "label": []},
    texts=(Text("q.py", b"one"),),
    folder=False,
    cwd="/here",
    local=True,
    entries=({"name": "local", "labels": {}},),
    select=None,
    reach={"user": None},
    title="A title",
    ends_at=7.5,
    limit=(None, 10),
)


def words(**changed: object) -> Asked:
    return dataclasses.replace(ASKED, words={**ASKED.words, **changed})


def test_it_comes_back_as_it_was() -> None:
    """Through the store's form and msgpack."""
    back = Asked.from_fact(codec.unpack(codec.pack(ASKED.to_fact())))
    assert back == ASKED
    assert back.differs(ASKED) == []


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        (words(follow=False), ["follow"]),
        (words(files=["/y"], for_s=2.0), ["files", "for"]),
        (words(since=["10m", 99.0]), []),
        (words(since=["11m", 5.0]), ["since"]),
        (words(rotated=False, until=None, label=None), []),
        (dataclasses.replace(ASKED, texts=(Text("q.py", b"two"),)), ["the text of the query"]),
        (dataclasses.replace(ASKED, cwd="/there"), ["the directory"]),
        (dataclasses.replace(ASKED, cwd="/there", local=False), []),
        (dataclasses.replace(ASKED, every=9.0, limit=(1, 1), ends_at=None, reach={"user": "x"}, title="t"), []),
    ],
)
def test_what_makes_another_question(other: Asked, differs: list[str]) -> None:
    """Whatever says what is asked, and of whom; not how it is shown, nor what an older version did not know."""
    assert other.differs(ASKED) == differs
    assert ASKED.differs(other) == differs


def test_options_that_make_no_other_question() -> None:
    """Those that are named do not, whatever they say; the others still do."""
    other = words(for_s=2.0, follow=False)
    assert other.differs(ASKED, but={"for_s"}) == ["follow"]
    assert words(for_s=2.0).differs(ASKED, but={"for_s"}) == []


def test_a_folder_is_laid_out_as_it_was(tmp_path: Path) -> None:
    """With its programs, in the place of what lay there."""
    folder = tmp_path / "count"
    (folder / "deep").mkdir(parents=True)
    (folder / "map").write_text("#!/bin/sh\n")
    (folder / "map").chmod(0o755)
    (folder / "deep" / "data").write_bytes(b"\xff")
    kept = dataclasses.replace(ASKED, texts=texts(str(folder)), folder=True)
    place = tmp_path / "laid"
    for _ in range(2):
        root = kept.lay_out(place)
        assert root == str(place / "count")
    assert (place / "count" / "map").stat().st_mode & 0o777 == 0o700
    assert (place / "count" / "deep" / "data").read_bytes() == b"\xff"
    assert (place / "count" / "deep" / "data").stat().st_mode & 0o777 == 0o600


def test_what_is_no_query_is_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that was named by mistake is not copied."""
    (tmp_path / "a").write_bytes(b"x" * 100)
    monkeypatch.setattr(asked, "_MOST_BYTES", 10)
    with pytest.raises(UsageError, match="too much to be kept"):
        texts(str(tmp_path))
