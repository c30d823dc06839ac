"""The relay: frames pass unopened, each is counted, and nobody says what is not his to say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from backplane.wire import codec
from backplane.wire.errors import RemoteProtocolError
from backplane.wire.messages import Beat, Cancel, Credit, Cut, End, Fault, Feed, Message, Note, Start, State, Verdict
from coordinator import relay as relay_module
from coordinator.links import Link
from coordinator.relay import DEAF_S, FREE_BYTES, GRANT_BYTES, Client, Job, Relay
from provider.runner import frames


class Line:
    """Stands for a link: keeps what goes down."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, body: bytes) -> None:
        self.written.append(body)


class Owner:
    """Keeps what its query would be told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def job_started(self, job: Job, profile: str) -> None:
        self.told.append(("started", job.number, profile))

    def job_decided(self, job: Job, keep: bool) -> None:
        self.told.append(("decided", job.number, keep))

    def job_ended(self, job: Job, state: str, reason: str | None, drained: bool) -> None:
        self.told.append(("ended", job.number, state, reason, drained))

    def job_broke(self, job: Job, state: str, reason: str | None) -> None:
        self.told.append(("broke", job.number, state, reason))

    def job_noted(self, job: Job, event: str) -> None:
        self.told.append(("noted", job.number, event))

    def cancel(self, mode: str, number: int = 0) -> None:
        self.told.append(("cancel", mode, number))


class Rig:
    """One job, number 1, granted 1000 bytes."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.reachable = True
        self.client = Client(b"peer", self.send)
        self.client.reserved = 1 << 30
        self.line, self.owner, self.relay = Line(), Owner(), Relay()
        self.link = cast(Link, self.line)
        self.job = Job(1, self.owner, self.client, self.link)
        self.relay.add(self.job)
        self.down(Start(job=1, epoch=1, query="q", granted=1000))

    def send(self, peer: bytes, bodies: Sequence[bytes]) -> bool:
        self.sent += bodies
        return self.reachable

    def down(self, message: Message, client: Client | None = None) -> None:
        for body in codec.encode(message):
            self.relay.down(client or self.client, *frames.peek(body), body)

    def up(self, *messages: Message, link: Link | None = None) -> list[bytes]:
        """Give what came, and hand back what the client was sent for it."""
        before = len(self.sent)
        bodies = [body for message in messages for body in codec.encode(message)]
        self.relay.up(link or self.link, bodies)
        self.client.flush()
        return self.sent[before:]


def cut(size: int = 100, job: int = 1) -> Cut:
    return Cut(job=job, epoch=1, seq=1, content="values", payload=b"x" * size)


async def test_frames_pass_unchanged_and_in_order() -> None:
    """The very bytes, whatever is in them."""
    rig = Rig()
    messages = [Verdict(job=1, epoch=1, keep=True), cut(), Note(job=1), Fault(job=1, code="raised", text="x"), cut()]
    bodies = [body for message in messages for body in codec.encode(message)]
    assert rig.up(*messages) == bodies
    assert rig.owner.told == [("started", 1, "open"), ("decided", 1, True)]


async def test_an_end_is_passed_on_before_its_query_hears_of_it() -> None:
    """The state that follows must not overtake it; late frames of the job are ignored."""
    rig = Rig()
    end = End(job=1, epoch=1, seq=3, state="done")
    assert rig.up(end, cut()) == [codec.encode_one(end)]
    assert rig.owner.told[-1] == ("ended", 1, "done", None, False)
    assert rig.relay.statistics()["jobs"] == 0


async def test_what_goes_over_the_grant_by_more_than_one_body_breaks_the_link() -> None:
    """One may, so that a frame is never stuck."""
    rig = Rig()
    rig.up(cut(900), cut(900))
    with pytest.raises(RemoteProtocolError, match="which was granted 1000"):
        rig.up(cut(1))
    rig.down(Credit(job=1, granted=10_000))
    assert len(rig.up(cut(1))) == 1


async def test_what_was_not_printed_is_said_without_credit() -> None:
    """A runner drops prints for want of credit, and its last note tells how many: that is no breach."""
    rig = Rig()
    rig.up(Cut(job=1, epoch=1, seq=1, content="values", payload=b"x" * 2000))
    rig.up(Note(job=1, epoch=1, dropped=7))
    rig.up(End(job=1, epoch=1, seq=1, state="done"))
    assert rig.owner.told[-1][0] == "ended"
    rig = Rig()
    rig.up(Cut(job=1, epoch=1, seq=1, content="values", payload=b"x" * 2000))
    with pytest.raises(RemoteProtocolError):
        rig.up(*(Note(job=1, epoch=1, payload=b"x" * 50_000) for _ in range(2 + FREE_BYTES // 50_000)))


async def test_frames_without_credit_are_bounded_too() -> None:
    """A runner that floods faults is no runner of ours."""
    rig = Rig()
    fault = Fault(job=1, code="raised", text="x", payload=b"x" * 60_000)
    with pytest.raises(RemoteProtocolError, match="beside its credit"):
        rig.up(*[fault] * (FREE_BYTES // 60_000 + 1))


async def test_a_runner_cannot_pose_as_a_coordinator() -> None:
    """States and the like are skipped; kinds that may not be skipped break the link."""
    rig = Rig()
    assert rig.up(State(job=1, query="q", provider="other", state="done")) == []
    with pytest.raises(RemoteProtocolError):
        rig.relay.up(rig.link, [frames.encode(200, 1, {})])
    with pytest.raises(RemoteProtocolError):
        rig.relay.up(rig.link, [frames.encode(200, 0, {})])


async def test_a_runner_speaks_for_its_own_jobs_only() -> None:
    """Another link's job is none that it has."""
    rig = Rig()
    assert rig.up(cut(), link=cast(Link, Line())) == []
    assert rig.job.passed == 0


async def test_a_fault_of_the_link_breaks_it() -> None:
    """With what it says."""
    with pytest.raises(RemoteProtocolError, match="out of breath"):
        Rig().up(Fault(code="protocol", text="out of breath"))


async def test_beats_wait_for_the_pulse_and_only_the_newest_goes() -> None:
    """However many come; none goes to a client that has not been heard for a while."""
    rig = Rig()
    assert rig.up(*[Beat(job=1, lines=number) for number in range(100)]) == []
    rig.client._heard -= DEAF_S + 1
    rig.client.pulse(b"ours")
    rig.client.flush()
    assert rig.sent == [b"ours"]
    rig.client.heard()
    rig.client.pulse(b"ours")
    rig.client.flush()
    assert rig.sent[1:] == [b"ours", codec.encode_one(Beat(job=1, lines=99))]


async def test_a_client_that_cannot_be_sent_to_is_gone() -> None:
    """ZeroMQ says so at the first send."""
    rig = Rig()
    rig.reachable = False
    rig.up(cut())
    assert rig.client.gone


async def test_what_a_client_says_goes_down_unchanged() -> None:
    """Start, credit and feed; a cancel is the plan's business."""
    rig = Rig()
    rig.up(Credit(job=1, granted=10))
    feed = Feed(job=1, payload=b"0123456789")
    rig.down(feed)
    rig.down(Cancel(job=1, mode="drain"))
    assert rig.line.written[1:] == [codec.encode_one(feed)]
    assert rig.owner.told[-1] == ("cancel", "drain", 1)


async def test_a_feed_over_what_the_runner_granted_drops_the_client() -> None:
    """The same rule the other way."""
    rig = Rig()
    rig.up(Credit(job=1, granted=10))
    with pytest.raises(RemoteProtocolError, match="was fed 11 bytes"):
        rig.down(Feed(job=1, payload=b"x" * 11))


async def test_a_fragmented_start_begins_its_job_once() -> None:
    """And is bounded as a whole."""
    rig = Rig()
    rig.relay.add(Job(2, rig.owner, rig.client, rig.link))
    rig.down(Start(job=2, epoch=1, query="q", granted=1, payload=b"x" * 200_000))
    assert [told for told in rig.owner.told if told[1] == 2] == [("started", 2, "open")]
    for _ in range(relay_module.START_BYTES // frames.MAX_PAYLOAD_BYTES):
        rig.down(Start(job=2, epoch=1, query="q", granted=1, payload=b"x" * (frames.MAX_PAYLOAD_BYTES - 300_000)))
    with pytest.raises(RemoteProtocolError, match="a start of over"):
        rig.down(Start(job=2, epoch=1, query="q", granted=1, payload=b"x" * 3_000_000))


@pytest.mark.parametrize(
    "message",
    [
        Credit(job=1, granted=GRANT_BYTES + 1),
        Cut(job=1, epoch=1, seq=1, content="values"),
        State(job=1, query="q", provider="a", state="done"),
    ],
)
async def test_what_a_client_may_not_say_drops_it(message: Message) -> None:
    """A grant without measure, or what is a runner's or a coordinator's to say."""
    with pytest.raises(RemoteProtocolError):
        Rig().down(message)


async def test_a_job_is_its_clients_alone() -> None:
    """Job numbers are easily guessed."""
    rig = Rig()
    with pytest.raises(RemoteProtocolError, match="not yours"):
        rig.down(Cancel(job=1, mode="abort"), Client(b"other", rig.send))


async def test_what_is_said_to_a_job_that_is_over_does_nothing() -> None:
    """It crossed on its way."""
    rig = Rig()
    rig.relay.drop(1)
    before = list(rig.line.written)
    rig.down(Credit(job=1, granted=5))
    assert rig.line.written == before
