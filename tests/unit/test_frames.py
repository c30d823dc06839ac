"""Frames: splitting a stream at every place, fragments, and what is no frame."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backplane.wire import codec, limits
from backplane.wire.errors import LocalProtocolError, RemoteProtocolError
from backplane.wire.messages import MESSAGES, Beat, Cut, Hello, Message, Note, State
from provider.runner import frames

BODIES = [
    frames.encode(frames.HELLO, 0, {"role": "runner"}),
    frames.encode(frames.CUT, 7, {"epoch": 1, "seq": 1, "content": "values"}, b"\x00\xffpayload"),
    frames.encode(frames.BEAT, 0, {}),
    frames.encode(frames.NOTE, 7, {}, bytes(range(256))),
]
STREAM = b"".join(map(frames.framed, BODIES))


@pytest.mark.parametrize("noise", [b"", b"Welcome to web01!\r\n\x00\xff", b"x" * 60000])
def test_a_stream_cut_anywhere_gives_the_same_bodies(noise: bytes) -> None:
    """In two pieces at every place, behind a banner or not."""
    stream = noise + frames.PREAMBLE + STREAM
    for cut in range(max(0, len(noise) - 2), len(stream) + 1):
        splitter = frames.Splitter(frames.PREAMBLE)
        assert splitter.feed(stream[:cut]) + splitter.feed(stream[cut:]) == BODIES
        assert splitter.waiting == 0


@given(st.lists(st.integers(1, 9), max_size=60))
def test_a_stream_in_many_pieces_gives_the_same_bodies(sizes: list[int]) -> None:
    """However it is dealt out."""
    splitter = frames.Splitter()
    found, start = [], 0
    for size in sizes:
        found += splitter.feed(STREAM[start : start + size])
        start += size
    assert found + splitter.feed(STREAM[start:]) == BODIES


def test_no_preamble_within_the_limit_is_an_error() -> None:
    """A login that never starts a runner is noticed, with the beginning of what it said."""
    splitter = frames.Splitter(frames.PREAMBLE)
    splitter.feed(b"sh: python3: not found\n")
    assert splitter.noise == b"sh: python3: not found\n"
    with pytest.raises(frames.FrameError, match="python3: not found"):
        splitter.feed(b"." * frames.MAX_FRAME_BYTES)


@pytest.mark.parametrize("size", [0, frames.HEAD_BYTES - 1, frames.MAX_FRAME_BYTES + 1, 0xFFFFFFFF])
def test_a_size_that_cannot_be_is_an_error(size: int) -> None:
    """At once, before anything of that size is awaited."""
    with pytest.raises(frames.FrameError):
        frames.Splitter().feed(size.to_bytes(4, "big"))


@pytest.mark.parametrize("size", [0, 1, frames.FRAGMENT_BYTES, frames.FRAGMENT_BYTES + 1, 3 * frames.FRAGMENT_BYTES])
def test_fragments_join_to_the_payload(size: int) -> None:
    """At and around the edges of one frame; every body within its limit, all but the last saying more."""
    payload = bytes(size)
    bodies = list(frames.fragments(frames.CUT, 3, {"seq": 1}, payload))
    assert all(len(body) <= frames.MAX_FRAME_BYTES for body in bodies)
    joiner = frames.Joiner()
    joined = [joiner.add(frames.decode(body)) for body in bodies]
    assert joined[:-1] == [None] * (len(bodies) - 1)
    assert joined[-1] == frames.Frame(frames.CUT, 3, {"seq": 1}, payload)


def test_fragments_are_bounded() -> None:
    """Neither side makes or holds more than the largest payload."""
    with pytest.raises(frames.FrameError, match="over the limit"):
        list(frames.fragments(frames.CUT, 1, {}, bytes(frames.MAX_PAYLOAD_BYTES + 1)))
    joiner = frames.Joiner()
    part = frames.Frame(frames.CUT, 1, {"more": True}, bytes(frames.FRAGMENT_BYTES))
    for _ in range(frames.MAX_PAYLOAD_BYTES // frames.FRAGMENT_BYTES):
        joiner.add(part)
    with pytest.raises(frames.FrameError, match="add up"):
        joiner.add(part)


def test_fragments_of_two_kinds_do_not_mix() -> None:
    """Another kind may stand between a job's fragments, and joins with its own only."""
    inbox = codec.Inbox()
    cut = list(codec.encode(Cut(job=1, epoch=1, seq=1, content="values", payload=b"c" * 100_000)))
    note = list(codec.encode(Note(job=1, payload=b"n" * 100_000)))
    found = [inbox.add(body) for pair in zip(cut, note, strict=True) for body in pair]
    assert [each.payload[:1] for each in found if isinstance(each, Cut | Note)] == [b"c", b"n"]
    joiner = frames.Joiner()
    joiner.add(frames.decode(cut[0]))
    with pytest.raises(frames.FrameError, match="inside the fragments"):
        joiner.add(frames.decode(note[0]))


def test_jobs_interleave_their_fragments() -> None:
    """Two jobs on one link, each joined with its own; a job that is forgotten leaves nothing behind."""
    inbox = codec.Inbox()
    first = list(codec.encode(Note(job=1, payload=b"a" * 100_000)))
    second = list(codec.encode(Note(job=2, payload=b"b" * 100_000)))
    found = [inbox.add(body) for pair in zip(first, second, strict=True) for body in pair]
    assert [note.payload[:1] for note in found if isinstance(note, Note)] == [b"a", b"b"]
    inbox.add(first[0])
    inbox.forget(1)
    assert inbox.add(first[-1]) == Note(job=1, payload=b"a" * (100_000 - frames.FRAGMENT_BYTES))


def test_unknown_fields_and_kinds_are_skipped_unless_critical() -> None:
    """A later version may add either; what may not be skipped says so by its number."""
    assert codec.decode(frames.encode(frames.BEAT, 0, {"now": 1.0, "mood": "fine"})) == Beat(now=1.0)
    assert codec.decode(frames.encode(99, 0, {})) is None
    with pytest.raises(RemoteProtocolError, match="may not be skipped"):
        codec.decode(frames.encode(200, 0, {}))


@pytest.mark.parametrize(
    ("kind", "header", "said"),
    [
        (frames.CUT, {"epoch": 1, "seq": 1}, "without content"),
        (frames.CUT, {"epoch": "1", "seq": 1, "content": "values"}, "expected int, got str"),
        (frames.CUT, {"epoch": True, "seq": 1, "content": "values"}, "expected int, got bool"),
        (frames.VERDICT, {"epoch": 1, "keep": None}, "expected bool"),
    ],
)
def test_fields_are_checked(kind: int, header: dict[str, object], said: str) -> None:
    """A missing field or another type is named."""
    with pytest.raises(RemoteProtocolError, match=said):
        codec.decode(frames.encode(kind, 1, header))


@given(st.binary(max_size=80))
def test_arbitrary_bytes_are_a_message_or_an_error(data: bytes) -> None:
    """Never another exception, from bodies or from a stream of them."""
    try:
        message = codec.decode(data)
    except RemoteProtocolError:
        return
    assert message is None or isinstance(message, Message)


def test_a_child_cannot_speak_for_another_job() -> None:
    """The supervisor's stamp replaces whatever job was written."""
    body = frames.encode(frames.CUT, 1, {"seq": 1}, b"p")
    assert frames.decode(frames.stamped(body, 77)) == frames.Frame(frames.CUT, 77, {"seq": 1}, b"p")


def test_the_time_of_a_drain_is_one_number() -> None:
    """Runner, client and the page say the same."""
    page = (Path(__file__).parents[2] / "docs" / "reference" / "frames.md").read_text("utf-8")
    assert limits.DRAIN_S == frames.DRAIN_S
    assert f"has {frames.DRAIN_S:g} s to hand over its last cut" in page


def test_every_kind_has_a_message_and_its_bytes_come_back() -> None:
    """The typed face and the table of kinds are the same set."""
    assert set(MESSAGES) == set(frames.NAMES)
    for message in (
        Hello(role="runner", python=(3, 6, 15), now=1.5),
        Cut(job=3, epoch=2, seq=9, part=1, last=True, content="moves", payload=b"\x90"),
        State(query="q", provider="web1", state="done", python=(3, 11)),
    ):
        (body,) = codec.encode(message)
        assert codec.decode(body) == message


def test_what_is_over_a_limit_is_our_own_fault() -> None:
    """A header that outgrows its frame is refused before it is sent."""
    with pytest.raises(LocalProtocolError):
        codec.encode_one(State(query="q", provider="p", state="done", reason="x" * 9000))
